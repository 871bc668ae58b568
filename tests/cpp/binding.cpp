// Owners, exceptions, and the whole chain through dsl.hpp: train on arrays, load, embed, explain, evaluate.
#include <dsl.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

static int checks, failures;

#define CHECK(condition)                                                              \
    do {                                                                              \
        ++checks;                                                                     \
        if (!(condition)) {                                                           \
            ++failures;                                                               \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                             \
    } while (0)

template <class F> std::int32_t code_of(F &&f) {
    try {
        f();
    } catch (const dsl::Error &e) {
        CHECK(std::string(e.what()).size() > 0);
        return e.code();
    }
    return DSL_STATUS_OK;
}

static_assert(!std::is_copy_constructible_v<dsl::Model> && std::is_nothrow_move_constructible_v<dsl::Model>);
static_assert(!std::is_copy_constructible_v<dsl::Session> && std::is_nothrow_move_constructible_v<dsl::Session>);
static_assert(!std::is_copy_constructible_v<dsl::Image> && std::is_nothrow_move_assignable_v<dsl::Image>);

static dsl::Image draw(int index) {
    std::vector<float> pixels(32 * 32, 0.1f);
    for (int y = 8; y < 24; ++y) {
        for (int x = 0; x < 12; ++x) {
            pixels[static_cast<std::size_t>(y * 32 + x + (index % 2) * 18)] = 0.7f + 0.01f * static_cast<float>(index);
        }
    }
    return dsl::Image::from_array<float>(pixels, {32, 32, 1, 0});
}

static void errors() {
    CHECK(code_of([] { dsl::Model::load("missing.dsl"); }) == DSL_STATUS_NOT_FOUND);
    CHECK(code_of([] { dsl::Image::load("missing.png"); }) == DSL_STATUS_NOT_FOUND);
    CHECK(code_of([] { dsl::Dataset::open("missing.csv"); }) == DSL_STATUS_NOT_FOUND);
    CHECK(code_of([] { dsl::Dataset::open_lists("missing.txt", "missing.txt", "."); }) == DSL_STATUS_NOT_FOUND);
    const std::vector<std::uint8_t> few(3);
    CHECK(code_of([&] { dsl::Image::from_array<std::uint8_t>(few, {2, 2, 1, 0}); }) == DSL_STATUS_INVALID);
    CHECK(code_of([] { dsl::set_num_threads(-1); }) == DSL_STATUS_INVALID);
}

static void moves() {
    dsl::Image a = draw(0);
    dsl::Image b = std::move(a);
    CHECK(b.size().height == 32 && a.get() == nullptr);
    CHECK(code_of([&] { a.size(); }) == DSL_STATUS_INVALID);
    a = draw(1);
    CHECK(a.size().pixels() == 32 * 32);
    CHECK(dsl_live_handles() == 2);
}

static dsl_train_options tiny() {
    dsl_train_options o;
    DSL_INIT(&o);
    o.out_path = "binding.dsl";
    o.stem = "small";
    o.embedding_dim = 16;
    o.input_size = 32;
    o.learners = 2;
    o.steps = 2;
    o.batch_size = 8;
    o.images_per_class = 4;
    o.threads = 1;
    return o;
}

// Images 12 and 16 of chain, of "val" and "test", get masks.
static void classification(dsl::Dataset &dataset, const std::vector<dsl::Image> &images) {
    dsl_train_options o = tiny();
    o.out_path = "binding-classifier.dsl";
    o.loss = "classification";
    o.learners = o.embedding_dim = 0;
    dsl::train(dataset, o);
    const dsl::Model model = dsl::Model::load("binding-classifier.dsl");
    CHECK(model.num_classes() == 2);
    dsl::Session session(model);
    const std::vector<float> p = session.classify({&images[0], &images[1]});
    CHECK(p.size() == 4 && std::abs(p[2] + p[3] - 1) < 1e-5f);
    const dsl::ClassMap map = session.class_map(images[0], 1);
    CHECK(map.label == 1 && map.map.original.values.size() == 32 * 32);
    CHECK(code_of([&] { session.class_map(images[0], 2); }) == DSL_STATUS_INVALID);
    dataset.set_mask(12, images[12]);
    dataset.set_mask(16, images[16]);
    CHECK(session.evaluate_masks(dataset).find("\"source\": \"grad_cam\"") != std::string::npos);
    CHECK(code_of([&] { dataset.set_mask(20, images[0]); }) == DSL_STATUS_INVALID);
}

static void chain() {
    dsl::Dataset dataset;
    std::vector<dsl::Image> images;
    for (int i = 0; i < 20; ++i) {
        images.push_back(draw(i));
        dataset.add(images.back(), i % 2, i < 12 ? "train" : i < 16 ? "val" : "test");
    }
    CHECK(dataset.size("test") == 4 && dataset.size() == 20);
    CHECK(dataset.manifest().rfind("path,label,class_name,mask,split,group\n", 0) == 0);
    int told = 0;
    const std::string report = dsl::train(dataset, tiny(), [&](const dsl_progress &) { return ++told > 0; });
    CHECK(told > 0 && report.find("\"steps\": 2") != std::string::npos);
    bool thrown = false;
    try {
        dsl::train(dataset, tiny(), [](const dsl_progress &) -> bool { throw std::logic_error("mine"); });
    } catch (const std::logic_error &e) {
        thrown = std::string(e.what()) == "mine";
    }
    CHECK(thrown);
    CHECK(code_of([&] { dsl::train(dataset, tiny(), [](const dsl_progress &) { return false; }); }) == DSL_STATUS_CANCELLED);

    dsl::Session session = [] {
        const dsl::Model model = dsl::Model::load("binding.dsl");
        CHECK(model.embedding_dim() == 16 && model.num_learners() == 2 && model.input_size() == 32);
        CHECK(model.info().find("\"resnet18\"") != std::string::npos);
        model.save("binding-copy.dsl");
        return dsl::Session(model);
    }(); // outlives its model
    std::vector<const dsl::Image *> some = {&images[0], &images[1], &images[2]};
    const dsl::Embeddings e = session.embed(some);
    CHECK(e.rows() == 3 && e.dim() == 16);
    for (std::size_t i = 0; i < e.rows(); ++i) {
        const auto row = e.row(i);
        CHECK(std::abs(std::inner_product(row.begin(), row.end(), row.begin(), 0.0) - 1) < 1e-5);
    }
    const dsl::Heatmap h = session.heatmap(images[0]);
    CHECK(h.original.size.height == 32 && h.original.values.size() == 32 * 32 && h.grid.values.size() == h.grid.size.pixels());
    const dsl::PairExplanation why = session.explain_pair(images[0], images[1], 1);
    const double sum = std::accumulate(why.b.original.values.begin(), why.b.original.values.end(), why.bias_b);
    CHECK(std::abs(sum - why.similarity) < 1e-4);
    CHECK(session.evaluate(dataset, "").find("\"nmi\"") != std::string::npos);
    for (const dsl::Heatmap &own : {session.self_map(images[0]), session.activation_map(images[0])})
        CHECK(*std::max_element(own.grid.values.begin(), own.grid.values.end()) == 1 && own.original.values.size() == 32 * 32);
    dsl::SessionOptions int8;
    int8.device = "cpu";
    int8.precision = "int8";
    CHECK(code_of([&] { dsl::Session(dsl::Model::load("binding.dsl"), int8); }) == DSL_STATUS_INVALID);
    const dsl::Model calibrated = dsl::Model::load("binding.dsl").calibrate(dataset, 4);
    CHECK(dsl::Session(calibrated, int8).embed(some).rows() == 3);
    CHECK(code_of([&] { calibrated.calibrate(dataset, 4, "best"); }) == DSL_STATUS_INVALID);
    CHECK(code_of([&] { session.classify(some); }) == DSL_STATUS_UNSUPPORTED);
    CHECK(code_of([&] { session.class_map(images[0]); }) == DSL_STATUS_UNSUPPORTED);
    CHECK(code_of([&] { session.evaluate_masks(dataset); }) == DSL_STATUS_NOT_FOUND);
    classification(dataset, images);
    CHECK(code_of([&] { session.embed_files({"missing.png"}); }) == DSL_STATUS_NOT_FOUND);
    dsl::CancelToken token;
    token.cancel();
    CHECK(code_of([&] { session.embed(some, &token); }) == DSL_STATUS_CANCELLED);
}

static dsl::Embeddings line(std::size_t n) {
    dsl::Embeddings e(n, 2);
    for (std::size_t i = 0; i < n; ++i) { // on an arc
        e.values()[2 * i] = std::cos(0.1f * static_cast<float>(i));
        e.values()[2 * i + 1] = std::sin(0.1f * static_cast<float>(i));
    }
    return e;
}

static void indexes() {
    dsl::Index index(2);
    dsl::Items items;
    items.ids = {"a", "b", "c", "d"};
    items.labels = {0, 1, -1, 3};
    items.groups = {"p", "p", "", "q"};
    index.add(line(4), items);
    CHECK(index.size() == 4 && index.info().find("\"text\"") != std::string::npos);
    const dsl::Item last = index.item(3);
    CHECK(last.id == "d" && last.label == 3 && last.group == "q" && code_of([&] { index.item(4); }) == DSL_STATUS_NOT_FOUND);
    CHECK(index.search(line(1), 2).rows == (std::vector<std::int64_t>{0, 1}));
    dsl::SearchOptions o;
    o.exclude_groups = {"p"};
    const dsl::Neighbours left = index.search(line(1), 3, o);
    CHECK(left.rows == (std::vector<std::int64_t>{2, 3, -1}) && std::abs(left.similarities[0] - std::cos(0.2f)) < 1e-6f);
    CHECK(left.similarities[2] == -std::numeric_limits<float>::infinity());
    o.exclude_ids = {"c"};
    CHECK(index.search(line(1), 1, o).rows[0] == 3);
    o.device = "gpu";
    CHECK(code_of([&] { index.search(line(1), 1, o); }) == DSL_STATUS_INVALID);
    o.device = "cpu";
    o.exclude_ids = {"c", "d"};
    CHECK(code_of([&] { index.search(line(1), 1, o); }) == DSL_STATUS_INVALID);
    CHECK(code_of([&] { index.search(line(1), 0); }) == DSL_STATUS_INVALID);
    CHECK(code_of([&] { index.search(dsl::Embeddings(1, 3), 1); }) == DSL_STATUS_INVALID);
    CHECK(code_of([&] { index.add(line(1)); }) == DSL_STATUS_INVALID);
    index.save("gallery.dsl");
    CHECK(dsl::Index::load("gallery.dsl").search(line(1), 2).rows == (std::vector<std::int64_t>{0, 1}));
    CHECK(code_of([] { dsl::Model::load("gallery.dsl"); }) == DSL_STATUS_INVALID);

    const dsl::Clusters c = dsl::cluster(line(10), 2);
    CHECK(c.assignment.size() == 10 && c.assignment[0] != c.assignment[9] && c.assignment[0] == c.assignment[3] && c.inertia > 0);
    CHECK(c.centres.rows() == 2 && code_of([] { dsl::cluster(line(3), 4); }) == DSL_STATUS_INVALID);
}

static void gallery_of_a_model() {
    const dsl::Model model = dsl::Model::load("binding.dsl");
    dsl::Index index(model);
    dsl::Session session(model);
    const dsl::Image a = draw(0), b = draw(1);
    const dsl::Embeddings e = session.embed({&a, &b});
    dsl::Items items;
    items.int_ids = {7, 8};
    index.add(e, items);
    dsl::SearchOptions o;
    o.learner = 1;
    o.exclude_int_ids = {7, 8};
    CHECK(index.search(e, 1, o).rows == (std::vector<std::int64_t>{1, 0}));
    index.check_model(dsl::Model::load("binding-copy.dsl"));
    index.save("gallery.dsl");
    CHECK(dsl::Index::load("gallery.dsl", &model).item(1).id == "8");
}

int main() {
    errors();
    indexes();
    moves();
    CHECK(dsl_live_handles() == 0);
    chain();
    gallery_of_a_model();
    CHECK(dsl_live_handles() == 0);
    std::printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
