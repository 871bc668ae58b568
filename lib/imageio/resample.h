// The two passes of a resize over RGB rows of bytes, built once per instruction set from resample_body.h. All arithmetic is in integers that
// cannot overflow, so every version gives the same bits.
#ifndef DSL_RESAMPLE_H
#define DSL_RESAMPLE_H

#include <stdint.h>

enum {
    DSL_FIXED_BITS = 22, // of the weights: 255·2^22 and the rounding fit an int32
    DSL_TAP_GROUP = 4,   // pixels of one load in the horizontal pass
    DSL_TAP_OVER = 4     // bytes that such a load reads beyond them
};

// For each output position: its first source position, how many there are, and their weights, stride apart and 0 behind the last. stride is a
// multiple of DSL_TAP_GROUP.
typedef struct {
    // dst[y][o] = Σ_j weights[o][j]·src[y][first[o] + j] for each channel, o below n. Rows begin src_stride and dst_stride bytes apart. Of a row of
    // src, 3·(first + stride) + DSL_TAP_OVER bytes are read; the byte behind a row of dst is overwritten, so dst_stride is at least 3·n + 1.
    void (*horizontal)(const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
                       const int32_t *weights, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride);
    // dst[o][i] = Σ_j weights[o][j]·src[first[o] + j][i], j below count[o], o below rows, i below n bytes. dst has no gaps between rows.
    void (*vertical)(const uint8_t *src, int64_t src_stride, int64_t n, const int32_t *first, const int32_t *count,
                     const int32_t *weights, int64_t stride, int64_t rows, uint8_t *dst);
} dsl_resampler;

extern const dsl_resampler dsl_resampler_base;
extern const dsl_resampler dsl_resampler_avx2;
extern const dsl_resampler dsl_resampler_avx512;

// The i-th fastest of those that this processor can run; NULL when there are not so many.
const dsl_resampler *dsl_resampler_for(int i);

#endif
