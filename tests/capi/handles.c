/* Freed, foreign and mistyped handles; datasets in memory; tokens. */
#include "check.h"

#include <stdlib.h>

static dsl_image *gray(uint8_t value) {
    uint8_t pixels[16 * 16];
    dsl_array a;
    dsl_image *image = NULL;
    memset(pixels, value, sizeof pixels);
    DSL_INIT(&a);
    a.data = pixels;
    a.data_size_bytes = sizeof pixels;
    a.height = a.width = 16;
    a.channels = 1;
    CHECK_OK(dsl_image_from_array(&a, &image));
    return image;
}

static void bad_handles(void) {
    int32_t h, w;
    dsl_image *image = gray(1);
    dsl_image *stale = image;
    CHECK(dsl_live_handles() == 1);
    dsl_image_free(image);
    CHECK(dsl_live_handles() == 0);
    CHECK_STATUS(dsl_image_size(stale, &h, &w), DSL_STATUS_INVALID, "freed");
    dsl_image_free(stale); /* twice: no harm */
    dsl_image *next = gray(2);
    CHECK(next != stale);
    CHECK_STATUS(dsl_image_size(stale, &h, &w), DSL_STATUS_INVALID, "freed");

    void *foreign = malloc(64);
    CHECK_STATUS(dsl_image_size(foreign, &h, &w), DSL_STATUS_INVALID, "something else");
    dsl_image_free(foreign);
    free(foreign);
    CHECK_STATUS(dsl_model_embedding_dim((const dsl_model *)next, &h), DSL_STATUS_INVALID, "something else");
    dsl_model_free((dsl_model *)next); /* not its free: ignored */
    CHECK_OK(dsl_image_size(next, &h, &w));
    dsl_image_free(next);
}

static void datasets(void) {
    dsl_dataset *dataset = NULL;
    dsl_image *image = gray(3);
    int64_t n = -1;
    CHECK_OK(dsl_dataset_create(&dataset));
    CHECK_OK(dsl_dataset_size(dataset, NULL, &n));
    CHECK(n == 0);
    CHECK_OK(dsl_dataset_add(dataset, image, 0, NULL, NULL));
    CHECK_OK(dsl_dataset_add(dataset, image, 1, "train", "p1"));
    CHECK_OK(dsl_dataset_add(dataset, image, 1, "test", ""));
    dsl_image_free(image); /* the dataset keeps what it needs */
    CHECK_STATUS(dsl_dataset_add(dataset, image, 1, NULL, NULL), DSL_STATUS_INVALID, "freed");
    image = gray(4);
    CHECK_STATUS(dsl_dataset_add(dataset, image, -1, NULL, NULL), DSL_STATUS_INVALID, "-1");
    CHECK_STATUS(dsl_dataset_add(dataset, image, INT64_MAX, NULL, NULL), DSL_STATUS_INVALID, "label");
    CHECK_STATUS(dsl_dataset_add(dataset, image, 1, "holdout", NULL), DSL_STATUS_INVALID, "holdout");
    CHECK_OK(dsl_dataset_set_class_name(dataset, 1, "nevus"));
    CHECK_STATUS(dsl_dataset_set_class_name(dataset, -1, "nevus"), DSL_STATUS_INVALID, "label");
    CHECK_STATUS(dsl_dataset_set_class_name(dataset, 1, NULL), DSL_STATUS_INVALID, "name");
    CHECK_OK(dsl_dataset_size(dataset, "train", &n));
    CHECK(n == 2);
    CHECK_OK(dsl_dataset_size(dataset, "test", &n));
    CHECK(n == 1);
    CHECK_OK(dsl_dataset_size(dataset, "", &n));
    CHECK(n == 3);
    CHECK_STATUS(dsl_dataset_size(dataset, "tests", &n), DSL_STATUS_INVALID, "tests");
    CHECK_STATUS(dsl_dataset_size(dataset, "test", NULL), DSL_STATUS_INVALID, "out_num_images");
    dsl_image_free(image);
    dsl_dataset_free(dataset);
    CHECK_STATUS(dsl_dataset_open("no-such-manifest.csv", &dataset), DSL_STATUS_NOT_FOUND, "no-such-manifest.csv");
}

static void tokens(void) {
    enum { many = 4096 };
    static dsl_cancel_token *all[many + 1];
    for (int i = 0; i < many; i++) {
        CHECK_OK(dsl_cancel_token_create(&all[i]));
    }
    CHECK_STATUS(dsl_cancel_token_create(&all[many]), DSL_STATUS_OUT_OF_MEMORY, "4096");
    CHECK(dsl_live_handles() == many);
    dsl_cancel_token *stale = all[7];
    dsl_cancel_token_free(all[7]);
    dsl_cancel_token_free(stale); /* twice */
    dsl_cancel_token_cancel(stale);
    CHECK_OK(dsl_cancel_token_create(&all[7]));
    CHECK(all[7] != stale);
    dsl_cancel_token_free(stale); /* frees nothing of the slot's new owner */
    CHECK(dsl_live_handles() == many);
    for (int i = 0; i < many; i++) {
        dsl_cancel_token_cancel(all[i]);
        dsl_cancel_token_free(all[i]);
    }
}

int main(void) {
    bad_handles();
    datasets();
    tokens();
    CHECK(dsl_live_handles() == 0);
    return finish();
}
