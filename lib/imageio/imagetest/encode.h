#ifndef DSL_IMAGETEST_ENCODE_H
#define DSL_IMAGETEST_ENCODE_H

typedef struct {
    int width, height, channels; // 1: gray, 3: RGB, 4: CMYK
    int across, down;            // luma samples to one of chroma
    int quality, progressive, arithmetic, restart;
} dsl_encoding;

// dsl_encode gives a JPEG's bytes, which the caller frees.
unsigned char *dsl_encode(const unsigned char *pixels, dsl_encoding e, unsigned long *bytes);

#endif
