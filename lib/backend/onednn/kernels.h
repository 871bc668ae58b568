// The elementwise and reduction kernels, built once per instruction set from kernels_body.h.
//
// Layout: a 4-D tensor is [n][c/lanes][h·w][lanes], channels padded with zeros to whole lanes; lanes is 1 or what dsl_lanes() says.
// Sums are taken in float over short runs, then in double in a fixed order: results do not depend on the number of threads.
#ifndef DSL_KERNELS_H
#define DSL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DSL_NORMALIZE,
    DSL_SCALE_WEIGHTS,
    DSL_SCALE_WEIGHTS_GRAD,
    DSL_SHIFT_BIAS,
    DSL_SHIFT_BIAS_GRAD,
    DSL_BATCH_NORM,
    DSL_BATCH_NORM_GRAD,
    DSL_UPDATE_RUNNING,
    DSL_RELU,
    DSL_RELU_GRAD,
    DSL_ADD,
    DSL_MAX_POOL,
    DSL_MAX_POOL_GRAD,
    DSL_SIGMOID,
    DSL_SIGMOID_GRAD,
    DSL_POOL,
    DSL_POOL_GRAD,
    DSL_DROPOUT,
    DSL_COLUMN_SUM,
    DSL_FILL_ROWS,
    DSL_CHANNEL_SUM,
    DSL_ADAM,
    DSL_STEM,
    DSL_WINOGRAD_WEIGHTS,
    DSL_NUM_KERNELS
};

// Flags of a kernel.
enum { DSL_RELU_FLAG = 1, DSL_RESIDUAL_FLAG = 2, DSL_GATE_FLAG = 4, DSL_PER_ROW_FLAG = 8 };

// One kernel call. Operands are in the order of ir; an output nobody reads is null.
typedef struct {
    int32_t kind, flags;
    int32_t n, c, h, w, lanes; // the larger 4-D tensor, or n rows of c columns
    int32_t oh, ow, kernel, stride, pad;
    int64_t count; // elements in memory, padding included
    int64_t samples; // behind a statistic
    float eps, rate, mean[3], std[3];
    const void *in[6];
    void *out[3];
    double *work;
} dsl_kernel;

// The numbers of one run, as ir.Args.
typedef struct {
    double lr, row_lr, weight_decay, beta1, beta2, adam_eps, bn_momentum;
    int64_t step;
    uint64_t dropout_key;
} dsl_args;

// DSL_WINOGRAD_WEIGHTS: in[0], dense weights [n,3,3,c], as Winograd's kernels read them, out[0]; in[1] is a dsl_winograd. With G of tile×3, each 3×3 filter g becomes G·g·Gᵀ.
// Outputs and inputs are padded with zeros and lie in blocks, and blocks in groups.
typedef struct {
    int32_t tile, n, c, n_block, n_group, c_block, c_group; // n and c padded; blocks of a group
    int64_t next, of_n_group, of_n_block, of_c_group, of_c_block, of_c; // floats to the next of a tile, of each of these; outputs of a block are neighbours
} dsl_winograd;

// DSL_STEM, the start of a network in integers (int8_stem.cpp): pixels u8 [n,h,w,3], convolved to [oh,ow,c] and pooled to y u8 [n,(oh+1)/2,(ow+1)/2,c], the maximum
// of 3×3 at stride 2. in: pixels, weights, scale [c], shift [c]. With a pixel X = DSL_STEM_LEVELS·p − its mean, which is 0 outside, a value is
// scale·Σ weights·X + shift. Weights are [c/64][kernel][pairs][64][2], pairs of what is next to each other in a row of pixels, with a 0 behind an odd number.
enum { DSL_STEM_LEVELS = 16, DSL_STEM_CHANNELS = 64 };

// How a thread's work of DSL_STEM lies behind its start: a row of means, the band's pixels, three rows of the convolution and one of maxima.
typedef struct {
    int64_t columns, pixels, maps; // columns that are computed; elements of a row of int16 pixels, of a row of bytes
    int64_t band, maxima, bytes;   // where the pixels end and where the maxima lie
} dsl_stem_rows;

enum { DSL_STEM_BAND = 14, DSL_STEM_COLUMNS = 4 }; // rows of maxima that one thread computes on end, at most; columns at once

static inline int dsl_stem_pairs(const dsl_kernel *k) { return (3 * k->kernel + 1) / 2; }

static inline dsl_stem_rows dsl_stem_layout(const dsl_kernel *k) {
    dsl_stem_rows r;
    r.columns = (k->ow + DSL_STEM_COLUMNS - 1) / DSL_STEM_COLUMNS * DSL_STEM_COLUMNS;
    const int64_t read = (r.columns - 1) * k->stride * 3 + 2 * dsl_stem_pairs(k), wide = 3 * (int64_t)(k->w + 2 * k->pad);
    r.pixels = ((read > wide ? read : wide) + 31) / 32 * 32;
    r.maps = (r.columns + 2) * k->c;
    r.band = 2 * r.pixels * (1 + 2 * DSL_STEM_BAND * k->stride + k->kernel);
    r.maxima = r.band + 3 * r.maps;
    r.bytes = (r.maxima + r.maps + 63) / 64 * 64;
    return r;
}

typedef void (*dsl_kernel_fn)(const dsl_kernel *, const dsl_args *);

extern const dsl_kernel_fn dsl_kernels_avx512[DSL_NUM_KERNELS];
extern const dsl_kernel_fn dsl_kernels_avx2[DSL_NUM_KERNELS];
extern const dsl_kernel_fn dsl_kernels_base[DSL_NUM_KERNELS];

#ifdef __cplusplus
}
#endif
#endif
