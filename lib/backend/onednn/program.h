// Compiled programs behind a C interface that Go calls. Nothing here throws across it.
#ifndef DSL_PROGRAM_H
#define DSL_PROGRAM_H

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

// Results of a call; dsl_last_error has the words.
enum { DSL_OK, DSL_CANCELLED, DSL_NO_MEMORY, DSL_UNSUPPORTED, DSL_FAILED };

// Sections of a program, in the order of ir's phases.
enum { DSL_SETUP, DSL_FORWARD, DSL_BACKWARD, DSL_UPDATE, DSL_NUM_SECTIONS };

enum { DSL_CONV, DSL_CONV_GRAD_DATA, DSL_CONV_GRAD_WEIGHTS };

typedef struct dsl_engine dsl_engine;
typedef struct dsl_program dsl_program;

// A convolution. x [n,h,w,c], w dense [k,r,r,c], y [n,oh,ow,k]; the gradients take dx for x, dw for w, db for bias and dy for y.
// Absent operands are null. In training weights change in each run. They are packed in pack_section, the rest runs in section. With copy_weights they are not there
// any more after that.
typedef struct {
    int32_t type, flags, winograd, training, copy_weights, section, pack_section, step;
    int32_t n, c, h, w, k, r, oh, ow, stride, pad;
    void *x, *weights, *bias, *residual, *y;
} dsl_conv;

// One matrix product by sgemm: out [rows, cols] = op(a)·op(b) (+ out), summed over inner.
typedef struct {
    int32_t section, step;
    int32_t transpose_a, transpose_b, rows, cols, inner;
    float beta;
    const float *a, *b;
    float *out;
} dsl_gemm;

// Layouts of a 4-D tensor: channels last, or as activations are kept between steps.
enum { DSL_NHWC, DSL_ACTIVATION };

// A change of layout.
typedef struct {
    int32_t section, step, from, to;
    int32_t n, c, h, w;
    void *src, *dst;
} dsl_reorder;

const char *dsl_environment(void); // oneDNN's version and the instruction set that it takes; "" without oneDNN
int dsl_lanes(void); // lanes of a blocked activation on this processor
const char *dsl_last_error(void); // of the calling thread

// Memory that starts at a cache line, large blocks at a huge page; null when there is none.
void *dsl_alloc(size_t bytes);
void dsl_free(void *p);

// An engine belongs to the calling thread: it sets the size of the thread's team (0 for every processor it may use) and flushes
// denormal numbers to zero in it. All calls on the engine and its programs come from that thread.
int dsl_engine_new(int threads, dsl_engine **out);
void dsl_engine_free(dsl_engine *e);

int dsl_program_new(dsl_engine *e, int steps, dsl_program **out);
int dsl_program_conv(dsl_program *p, const dsl_conv *c);
int dsl_program_kernel(dsl_program *p, int section, int step, const dsl_kernel *k);
int dsl_program_gemm(dsl_program *p, const dsl_gemm *g);
int dsl_program_reorder(dsl_program *p, const dsl_reorder *r);
int dsl_program_finish(dsl_program *p); // after the last step: allocates what the steps share
int dsl_program_run(dsl_program *p, int from, int to, const dsl_args *a);
int32_t *dsl_program_cancel(dsl_program *p); // any thread sets it to 1 to stop a run before its next step
const char *dsl_program_kernel_name(dsl_program *p, int step);
double *dsl_program_profile(dsl_program *p, int on); // starts or stops adding up the milliseconds of each step; null where there are none
void dsl_program_free(dsl_program *p);

#ifdef __cplusplus
}
#endif
#endif
