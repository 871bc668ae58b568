#include "jpeg.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include <jerror.h>

// A crafted progressive file can take long with many scans of a few bytes; cameras and encoders write about ten. TurboJPEG's limit.
enum { MAX_SCANS = 500 };

// Chroma of half the width is interpolated between neighbours, so that the outermost pixels of a cropped row differ. Without that interpolation libjpeg-turbo
// would take other ways to crop and skip, which nothing here has tried.
enum { MARGIN = 2 };

typedef struct {
    struct jpeg_decompress_struct c; // first: libjpeg's callbacks get its address
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    int strict; // warnings are errors
    char *message;
    jmp_buf failed;
} decoder;

static void fail(j_common_ptr c) {
    decoder *d = (decoder *)c;
    d->errors.format_message(c, d->message);
    longjmp(d->failed, 1);
}

static void warn(j_common_ptr c, int level) {
    decoder *d = (decoder *)c;
    if (level >= 0) {
        return;
    }
    if (d->errors.num_warnings++ == 0) {
        d->errors.format_message(c, d->message);
    }
    if (d->strict) {
        longjmp(d->failed, 1);
    }
}

static void count_scans(j_common_ptr c) {
    decoder *d = (decoder *)c;
    if (d->c.input_scan_number > MAX_SCANS) {
        snprintf(d->message, DSL_JPEG_MESSAGE, "Progressive JPEG image has more than %d scans", MAX_SCANS);
        longjmp(d->failed, 1);
    }
}

// failure frees what d holds, and tells what sort of failure sent it here.
static int failure(decoder *d) {
    jpeg_destroy_decompress(&d->c);
    return d->errors.msg_code == JERR_OUT_OF_MEMORY ? DSL_JPEG_MEMORY : DSL_JPEG_DAMAGED;
}

// open_file makes d read the data up to the pixels. It and all that follows may jump to d->failed.
static void open_file(decoder *d, const unsigned char *data, unsigned long bytes) {
    jpeg_create_decompress(&d->c);
    d->progress.progress_monitor = count_scans;
    d->c.progress = &d->progress;
    jpeg_mem_src(&d->c, data, bytes);
    if (jpeg_read_header(&d->c, FALSE) != JPEG_HEADER_OK) { // the message is the first warning's, if there was one
        longjmp(d->failed, 1);
    }
}

static void prepare(decoder *d, dsl_jpeg_answer *answer, int strict) {
    d->c.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = fail;
    d->errors.emit_message = warn;
    d->strict = strict;
    d->message = answer->message;
    snprintf(d->message, DSL_JPEG_MESSAGE, "tables without a picture");
    d->c.mem = NULL; // nothing to free yet
}

int dsl_jpeg_size(const unsigned char *data, unsigned long bytes, dsl_jpeg_answer *answer) {
    decoder d;
    prepare(&d, answer, 0);
    if (setjmp(d.failed)) {
        return failure(&d);
    }
    open_file(&d, data, bytes);
    answer->width = (int)d.c.image_width;
    answer->height = (int)d.c.image_height;
    jpeg_destroy_decompress(&d.c);
    return DSL_JPEG_OK;
}

// read_rows decodes rows up to the end-th to their places in pixels, from column left on.
static void read_rows(struct jpeg_decompress_struct *c, unsigned char *pixels, JDIMENSION left, JDIMENSION end) {
    enum { AT_ONCE = 16 };
    const size_t pixel = (size_t)c->output_components, row = pixel * c->image_width;
    while (c->output_scanline < end) {
        JSAMPROW rows[AT_ONCE];
        JDIMENSION n = 0;
        for (JDIMENSION y = c->output_scanline; y < end && n < AT_ONCE; y++) {
            rows[n++] = pixels + row * y + pixel * left;
        }
        jpeg_read_scanlines(c, rows, n);
    }
}

// read_part leaves out what the part does not need but for the entropy decoding, which finds damage. Skipping to the last row would end the decoding; so that
// row is read.
static void read_part(struct jpeg_decompress_struct *c, unsigned char *pixels, dsl_jpeg_part part) {
    const JDIMENSION width = c->output_width, height = c->output_height, end = (JDIMENSION)(part.y + part.h);
    JDIMENSION left = part.x > MARGIN ? (JDIMENSION)(part.x - MARGIN) : 0, right = (JDIMENSION)(part.x + part.w) + MARGIN;
    JDIMENSION kept = (right < width ? right : width) - left;
    if (kept < width) {
        jpeg_crop_scanline(c, &left, &kept);
    }
    if (part.y > 0) {
        jpeg_skip_scanlines(c, (JDIMENSION)part.y);
    }
    read_rows(c, pixels, left, end);
    if (end + 1 < height) {
        jpeg_skip_scanlines(c, height - 1 - end);
    }
    read_rows(c, pixels, left, height);
}

int dsl_jpeg_pixels(const unsigned char *data, unsigned long bytes, dsl_jpeg_answer *answer, unsigned char *pixels, int channels, dsl_jpeg_part part) {
    decoder d;
    prepare(&d, answer, 1);
    if (setjmp(d.failed)) {
        return failure(&d);
    }
    open_file(&d, data, bytes);
    d.c.out_color_space = channels == 4 ? JCS_CMYK : JCS_RGB;
    d.c.do_block_smoothing = FALSE; // it is for progressive files without their last scans
    jpeg_start_decompress(&d.c);
    read_part(&d.c, pixels, part);
    jpeg_finish_decompress(&d.c);
    jpeg_destroy_decompress(&d.c);
    return DSL_JPEG_OK;
}
