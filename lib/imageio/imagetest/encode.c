#include "encode.h"

#include <stdio.h>

#include <jpeglib.h>

static const J_COLOR_SPACE spaces[] = {[1] = JCS_GRAYSCALE, [3] = JCS_RGB, [4] = JCS_CMYK};

unsigned char *dsl_encode(const unsigned char *pixels, dsl_encoding e, unsigned long *bytes) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors; // libjpeg's: a mistake of the test's ends the program with a message
    unsigned char *out = NULL;
    *bytes = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out, bytes);
    c.image_width = (JDIMENSION)e.width;
    c.image_height = (JDIMENSION)e.height;
    c.input_components = e.channels;
    c.in_color_space = spaces[e.channels];
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, e.quality, TRUE);
    c.comp_info[0].h_samp_factor = e.across;
    c.comp_info[0].v_samp_factor = e.down;
    c.restart_interval = (unsigned)e.restart;
    c.arith_code = (boolean)e.arithmetic;
    if (e.progressive) {
        jpeg_simple_progression(&c);
    }
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)c.next_scanline * (size_t)(e.width * e.channels);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return out;
}
