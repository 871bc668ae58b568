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

typedef void (*dsl_kernel_fn)(const dsl_kernel *, const dsl_args *);

extern const dsl_kernel_fn dsl_kernels_avx512[DSL_NUM_KERNELS];
extern const dsl_kernel_fn dsl_kernels_avx2[DSL_NUM_KERNELS];
extern const dsl_kernel_fn dsl_kernels_base[DSL_NUM_KERNELS];

#ifdef __cplusplus
}
#endif
#endif
