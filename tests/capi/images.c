/* Arrays of each kind, hostile shapes, files good and bad. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

static dsl_array array_of(int32_t dtype, const void *data, size_t bytes, int32_t h, int32_t w, int32_t c) {
    dsl_array a;
    DSL_INIT(&a);
    a.dtype = dtype;
    a.data = data;
    a.data_size_bytes = bytes;
    a.height = h;
    a.width = w;
    a.channels = c;
    return a;
}

static void good_arrays(void) {
    static const uint8_t u8[2 * 3 * 3];
    static const uint16_t u16[2 * 4]; /* rows of 3 with a gap */
    static const float f32[6];
    dsl_array kinds[3] = {array_of(DSL_DTYPE_U8, u8, sizeof u8, 2, 3, 3), array_of(DSL_DTYPE_U16, u16, sizeof u16, 2, 3, 1),
                          array_of(DSL_DTYPE_F32, f32, sizeof f32, 2, 3, 1)};
    kinds[1].row_stride_bytes = 4 * sizeof(uint16_t);
    kinds[1].window_low = 100;
    kinds[1].window_high = 4000;
    for (int i = 0; i < 3; i++) {
        dsl_image *image = NULL;
        int32_t h = 0, w = 0;
        CHECK_OK(dsl_image_from_array(&kinds[i], &image));
        CHECK_OK(dsl_image_size(image, &h, &w));
        CHECK(h == 2 && w == 3);
        CHECK_STATUS(dsl_image_size(image, NULL, &w), DSL_STATUS_INVALID, "out_height");
        uint8_t pixels[18];
        memset(pixels, 7, sizeof pixels);
        CHECK_STATUS(dsl_image_pixels(image, pixels, 17), DSL_STATUS_BUFFER_TOO_SMALL, "18");
        CHECK_STATUS(dsl_image_pixels(image, NULL, 18), DSL_STATUS_INVALID, "NULL");
        CHECK(pixels[0] == 7);
        CHECK_OK(dsl_image_pixels(image, pixels, 18));
        CHECK(pixels[0] == 0 && pixels[17] == 0);
        dsl_image_free(image);
    }
}

static void bad_arrays(void) {
    static uint16_t data[64];
    static const struct {
        const char *what;
        int32_t dtype, h, w, c;
        int64_t stride;
        size_t bytes, shift;
        float low, high;
    } cases[] = {
        {"dtype", 9, 2, 2, 1, 0, 128, 0, 0, 0},
        {"channels", DSL_DTYPE_U8, 2, 2, 2, 0, 128, 0, 0, 0},
        {"pixels", DSL_DTYPE_U8, 0, 2, 1, 0, 128, 0, 0, 0},
        {"pixels", DSL_DTYPE_U8, -1, 2, 1, 0, 128, 0, 0, 0},
        {"pixels", DSL_DTYPE_U8, INT32_MAX, INT32_MAX, 3, 0, 128, 0, 0, 0},
        {"elements", DSL_DTYPE_U8, 100, 2, 1, 0, 128, 0, 0, 0},
        {"elements", DSL_DTYPE_U8, 2, 2, 1, INT64_MAX, 128, 0, 0, 0},
        {"stride", DSL_DTYPE_U8, 2, 2, 1, -2, 128, 0, 0, 0},
        {"stride", DSL_DTYPE_U8, 2, 4, 1, 2, 128, 0, 0, 0},
        {"multiples", DSL_DTYPE_U16, 2, 2, 1, 5, 128, 0, 0, 0},
        {"multiples", DSL_DTYPE_U16, 2, 2, 1, 0, 64, 1, 0, 0},
        {"window", DSL_DTYPE_U16, 2, 2, 1, 0, 128, 0, 5, 5},
        {"window", DSL_DTYPE_U16, 2, 2, 1, 0, 128, 0, 9, 5},
        {"window", DSL_DTYPE_U16, 2, 2, 1, 0, 128, 0, NAN, 5},
        {"data_size_bytes", DSL_DTYPE_U8, 2, 2, 1, 0, SIZE_MAX, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dsl_array a = array_of(cases[i].dtype, (const char *)data + cases[i].shift, cases[i].bytes, cases[i].h, cases[i].w,
                               cases[i].c);
        a.row_stride_bytes = cases[i].stride;
        a.window_low = cases[i].low;
        a.window_high = cases[i].high;
        dsl_image *image = (dsl_image *)1;
        CHECK_STATUS(dsl_image_from_array(&a, &image), DSL_STATUS_INVALID, cases[i].what);
        CHECK(image == NULL);
    }
    float nan_pixel = NAN;
    dsl_array a = array_of(DSL_DTYPE_F32, &nan_pixel, sizeof nan_pixel, 1, 1, 1);
    dsl_image *image = NULL;
    CHECK_STATUS(dsl_image_from_array(&a, &image), DSL_STATUS_INVALID, "NaN");
    a.data = NULL;
    CHECK_STATUS(dsl_image_from_array(&a, &image), DSL_STATUS_INVALID, "NULL");
}

static void files(void) {
    const char *source = getenv("DSL_SOURCE"), *data = getenv("DSL_DATA");
    char folder[1024], path[2048];
    if (data != NULL && *data != 0) {
        snprintf(folder, sizeof folder, "%s/images_odd", data);
    } else {
        snprintf(folder, sizeof folder, "%s/../shared/data/images_odd", source == NULL ? "." : source);
    }
    static const struct {
        const char *name;
        int32_t status, height, width;
    } cases[] = {
        {"hopper.png", DSL_STATUS_OK, 128, 128},
        {"exif_orientation_6.jpg", DSL_STATUS_OK, 0, 0},
        {"png-invalid-trunc.png", DSL_STATUS_CORRUPT, 0, 0},
        {"video-001.progressive.truncated.jpeg", DSL_STATUS_CORRUPT, 0, 0},
        {"hopper.tif", DSL_STATUS_UNSUPPORTED, 0, 0},
        {"no-such-file.png", DSL_STATUS_NOT_FOUND, 0, 0},
    };
    snprintf(path, sizeof path, "%s/hopper.png", folder);
    FILE *probe = fopen(path, "rb");
    if (probe == NULL) {
        printf("skipped: image files (no images_odd in DSL_DATA)\n");
        return;
    }
    fclose(probe);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dsl_image *image = NULL;
        int32_t h = 0, w = 0;
        snprintf(path, sizeof path, "%s/%s", folder, cases[i].name);
        CHECK_STATUS(dsl_image_load_file(path, &image), cases[i].status, cases[i].status == 0 ? "" : cases[i].name);
        CHECK((image != NULL) == (cases[i].status == DSL_STATUS_OK));
        if (cases[i].height > 0) {
            CHECK_OK(dsl_image_size(image, &h, &w));
            CHECK(h == cases[i].height && w == cases[i].width);
        }
        dsl_image_free(image);
    }
}

int main(void) {
    good_arrays();
    bad_arrays();
    files();
    CHECK(dsl_live_handles() == 0);
    return finish();
}
