/* A program that carries another oneDNN, or something of the same names: libdsl must not call into it. */
#include <dsl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_OURS(name)                                   \
    int name(void);                                      \
    int name(void) {                                     \
        fprintf(stderr, "libdsl called our " #name "\n"); \
        exit(3);                                         \
    }
NOT_OURS(dnnl_engine_create)
NOT_OURS(dnnl_stream_create)
NOT_OURS(dnnl_memory_create)
NOT_OURS(dnnl_memory_desc_init_by_tag)
NOT_OURS(dnnl_primitive_create)
NOT_OURS(dnnl_primitive_execute)
NOT_OURS(dnnl_sgemm)

static int32_t add(dsl_dataset *dataset, int i) {
    uint8_t pixels[32 * 32];
    dsl_array array;
    dsl_image *image = NULL;
    memset(pixels, i % 2 == 0 ? 20 : 200, sizeof pixels);
    pixels[i] = 128;
    DSL_INIT(&array);
    array.data = pixels;
    array.data_size_bytes = sizeof pixels;
    array.height = array.width = 32;
    array.channels = 1;
    int32_t status = dsl_image_from_array(&array, &image);
    if (status == DSL_STATUS_OK) {
        status = dsl_dataset_add(dataset, image, i % 2, i < 16 ? "train" : "val", NULL);
    }
    dsl_image_free(image);
    return status;
}

int main(void) {
    dsl_dataset *dataset = NULL;
    dsl_train_options options;
    int32_t status = dsl_dataset_create(&dataset);
    for (int i = 0; i < 24 && status == DSL_STATUS_OK; i++) {
        status = add(dataset, i);
    }
    DSL_INIT(&options);
    options.out_path = "interpose.dsl";
    options.stem = "small";
    options.embedding_dim = 8;
    options.input_size = 32;
    options.learners = 1;
    options.steps = 1;
    options.batch_size = 8;
    options.images_per_class = 4;
    if (status == DSL_STATUS_OK) {
        status = dsl_train(dataset, &options, NULL, NULL);
    }
    if (status != DSL_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", dsl_status_name(status), dsl_last_error_message());
    }
    dsl_dataset_free(dataset);
    return status == DSL_STATUS_OK ? 0 : 1;
}
