/* Prints the embedding of each image, one line per image.
 *
 *     embed MODEL.dsl IMAGE... */
#include <dsl.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    dsl_model *model = NULL;
    dsl_session *session = NULL;
    float *embeddings = NULL;
    int32_t dim = 0;
    int32_t status;
    size_t num_images = argc > 2 ? (size_t)argc - 2 : 0;

    if (num_images == 0) {
        fprintf(stderr, "usage: %s MODEL.dsl IMAGE...\n", argv[0]);
        return 2;
    }
    status = dsl_model_load(argv[1], &model);
    if (status == DSL_STATUS_OK) {
        status = dsl_session_create(model, NULL, &session);
    }
    if (status == DSL_STATUS_OK) {
        status = dsl_model_embedding_dim(model, &dim);
    }
    if (status == DSL_STATUS_OK) {
        size_t capacity = num_images * (size_t)dim;
        embeddings = malloc(capacity * sizeof *embeddings);
        if (embeddings == NULL) {
            fprintf(stderr, "out of memory\n");
            return 1;
        }
        status =
            dsl_session_embed_files(session, (const char *const *)argv + 2, num_images, NULL, embeddings, capacity);
    }
    if (status != DSL_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", dsl_status_name(status), dsl_last_error_message());
    }
    for (size_t i = 0; status == DSL_STATUS_OK && i < num_images; i++) {
        for (int32_t d = 0; d < dim; d++) {
            printf("%s%.6f", d == 0 ? "" : " ", (double)embeddings[i * (size_t)dim + (size_t)d]);
        }
        printf("\n");
    }
    free(embeddings);
    dsl_session_free(session);
    dsl_model_free(model);
    return status == DSL_STATUS_OK ? 0 : 1;
}
