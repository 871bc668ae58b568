// Makes cuDNN's descriptors.
#ifndef DSL_NVLIB_BUILDER_H
#define DSL_NVLIB_BUILDER_H

#include "nvlib.h"

// A builder owns the descriptors that it makes. After the first failure, which status and the handles' problem tell, it does nothing more.
typedef struct builder {
    nvlib_handles *handles;
    const char *doing; // for the problem's text
    int status;
    int count;
    cudnn_descriptor made[24];
} builder;

cudnn_descriptor builder_begin(builder *b, int kind);
void builder_set(builder *b, cudnn_descriptor d, int attribute, int type, int64_t count, const void *values);
void builder_finish(builder *b, cudnn_descriptor d);
void builder_drop(builder *b); // destroys all

// The graph of a convolution and what is fused with it.
cudnn_descriptor builder_convolution(builder *b, const nvlib_conv *c);

// The unique id of an operand's tensor. cudnn-frontend takes 0 for none.
static inline int64_t operand_id(int operand) { return operand + 1; }

// Whether a status says no more than that cuDNN cannot do it.
int cudnn_unsupported(int status);

// Notes a failure in the handles' problem, with cuDNN's own words, and returns the status.
int cudnn_failed(nvlib_handles *h, const char *doing, int status);

#endif
