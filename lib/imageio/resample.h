// The two passes of a resize over RGB rows of bytes, built once per instruction set from resample_body.h. All arithmetic
// is in integers that cannot overflow, so every version gives the same bits.
#ifndef DSL_RESAMPLE_H
#define DSL_RESAMPLE_H

#include <stdint.h>

enum {
    DSL_FIXED_BITS = 22, // of the weights: 255·2^22 and the rounding fit an int32
    DSL_LOW_BITS = 11,   // of a weight's low half, so that both halves are 16-bit factors
    DSL_OUT_GROUP = 4,   // the horizontal pass makes so many pixels at once
    DSL_OUT_OVER = 4,    // bytes that it writes behind them
    DSL_TAP_OVER = 10    // bytes that it reads behind the last tap
};

// For each output position: its first source position, how many there are, and their weights, `stride` of them, even and
// 0 behind the last.
typedef struct {
    // dst[y][o] = Σ_j weight(o, j)·src[y][first[o] + j] for each channel, o below n, a multiple of DSL_OUT_GROUP. Rows
    // begin src_stride and dst_stride bytes apart. halves has two numbers for two taps a and b: w_a | w_b << 16, with the
    // low DSL_LOW_BITS of the weights, then with what is above. Of a row, 3·(first + stride) + DSL_TAP_OVER bytes of src
    // are read and 3·n + DSL_OUT_OVER bytes of dst are written.
    void (*horizontal)(const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
                       const int32_t *halves, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride);
    // dst[o][i] = Σ_j weights[o][j]·src[first[o] + j][i], j below count[o], o below rows, i below n bytes. dst has no
    // gaps between rows.
    void (*vertical)(const uint8_t *src, int64_t src_stride, int64_t n, const int32_t *first, const int32_t *count,
                     const int32_t *weights, int64_t stride, int64_t rows, uint8_t *dst);
} dsl_resampler;

extern const dsl_resampler dsl_resampler_base;
extern const dsl_resampler dsl_resampler_avx2;
extern const dsl_resampler dsl_resampler_avx512;

// The i-th fastest of those that this processor can run; NULL when there are not so many.
const dsl_resampler *dsl_resampler_for(int i);

#endif
