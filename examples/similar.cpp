// Finds the image most similar to the first one, and says which learner finds the two most alike.
//
//     similar MODEL.dsl QUERY IMAGE...
#include <dsl.hpp>

#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

int main(int argc, char **argv) try {
    if (argc < 4) {
        std::fprintf(stderr, "usage: %s MODEL.dsl QUERY IMAGE...\n", argv[0]);
        return 2;
    }
    const dsl::Model model = dsl::Model::load(argv[1]);
    dsl::Session session(model);
    const std::vector<std::string> paths(argv + 2, argv + argc);
    const dsl::Embeddings embeddings = session.embed_files(paths);

    std::size_t best = 1;
    double best_similarity = -2;
    for (std::size_t i = 1; i < embeddings.rows(); ++i) {
        const auto query = embeddings.row(0), row = embeddings.row(i);
        const double similarity = std::inner_product(query.begin(), query.end(), row.begin(), 0.0);
        std::printf("%.4f %s\n", similarity, paths[i].c_str());
        if (similarity > best_similarity) {
            best_similarity = similarity;
            best = i;
        }
    }
    std::printf("most similar: %s\n", paths[best].c_str());

    const dsl::Image query = dsl::Image::load(paths[0]), match = dsl::Image::load(paths[best]);
    for (int learner = 0; learner < model.num_learners(); ++learner) {
        const dsl::PairExplanation why = session.explain_pair(query, match, learner);
        std::printf("learner %d: similarity %.4f\n", learner, why.similarity);
    }
    return 0;
} catch (const dsl::Error &e) {
    std::fprintf(stderr, "%s: %s\n", dsl_status_name(e.code()), e.what());
    return 1;
}
