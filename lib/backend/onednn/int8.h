// 8-bit convolutions of a compiled program, behind a C interface that Go calls. See int8.cpp.
#ifndef DSL_INT8_H
#define DSL_INT8_H

#include "program.h"

#ifdef __cplusplus
extern "C" {
#endif

// Element types of a feature map.
enum { DSL_F32, DSL_U8, DSL_S8 };

// How a feature map lies in memory: an integer stands for step times itself; float32 has the step 1. 8-bit maps are DSL_NHWC.
typedef struct {
    int32_t type, layout; // DSL_NHWC, DSL_ACTIVATION
    float step;
    void *at;
} dsl_map;

// A convolution of the integers x (u8) [n,h,w,c] with float32 weights, dense [k,r,r,c], which are packed in DSL_SETUP. bias may be null.
// With DSL_RESIDUAL_FLAG y holds the residual beforehand, with the type and step of `residual`; y is DSL_NHWC.
typedef struct {
    int32_t section, step, flags;
    int32_t n, c, h, w, k, r, oh, ow, stride, pad;
    const float *weights, *bias;
    dsl_map x, y, residual;
} dsl_int8_conv;

// A change of type or layout; the type changes from or to float32, or not at all.
typedef struct {
    int32_t section, step, n, c, h, w;
    dsl_map from, to;
} dsl_convert;

// DSL_STEM: float32 weights, dense [c,r,r,3], and bias, null for none, of a convolution of normalised pixels with a ReLU; kernel has all but what these are packed into.
// y is u8, a step each. The weights are packed in DSL_SETUP by pack_step, the rest runs in DSL_FORWARD.
typedef struct {
    int32_t step, pack_step;
    dsl_kernel kernel;
    const float *weights, *bias;
    float y_step;
} dsl_int8_stem;

int dsl_program_int8_stem(dsl_program *p, const dsl_int8_stem *s);
int dsl_program_int8_conv(dsl_program *p, const dsl_int8_conv *c);
int dsl_program_convert(dsl_program *p, const dsl_convert *c);

#ifdef __cplusplus
}
#endif
#endif
