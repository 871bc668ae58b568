// Descriptors, and the graph of a convolution.
#include "builder.h"

#include <stdio.h>

int cudnn_unsupported(int status) { return status / 1000 * 1000 == CUDNN_STATUS_NOT_SUPPORTED; }

int cudnn_failed(nvlib_handles *h, const char *doing, int status) {
    const nvlib_cudnn *dnn = &h->functions->cudnn;
    char detail[320] = "";
    dnn->GetLastErrorString(detail, sizeof detail);
    detail[sizeof detail - 1] = 0;
    h->problem.memory = status == CUDNN_STATUS_HOST_ALLOCATION_FAILED || status == CUDNN_STATUS_DEVICE_ALLOCATION_FAILED;
    snprintf(h->problem.text, sizeof h->problem.text, "cudnn: %s: %s (%d)%s%s", doing, dnn->GetErrorString(status), status,
             detail[0] ? ": " : "", detail);
    return status;
}

static void check(builder *b, int status) {
    if (status) b->status = cudnn_failed(b->handles, b->doing, status);
}

cudnn_descriptor builder_begin(builder *b, int kind) {
    if (b->status) return NULL;
    cudnn_descriptor *place = &b->made[b->count];
    check(b, b->handles->functions->cudnn.BackendCreateDescriptor(kind, place));
    if (b->status) return NULL;
    b->count++;
    return *place;
}

void builder_set(builder *b, cudnn_descriptor d, int attribute, int type, int64_t count, const void *values) {
    if (b->status) return;
    check(b, b->handles->functions->cudnn.BackendSetAttribute(d, attribute, type, count, values));
}

void builder_finish(builder *b, cudnn_descriptor d) {
    if (b->status) return;
    check(b, b->handles->functions->cudnn.BackendFinalize(d));
}

void builder_drop(builder *b) {
    while (b->count > 0) b->handles->functions->cudnn.BackendDestroyDescriptor(b->made[--b->count]);
}

static void set_descriptor(builder *b, cudnn_descriptor d, int attribute, cudnn_descriptor value) {
    builder_set(b, d, attribute, CUDNN_TYPE_DESCRIPTOR, 1, &value);
}

// What a tensor is: four dimensions in cuDNN's order, batch, channels, height, width, and in memory the channels side by side.
typedef struct tensor {
    int64_t id, n, c, h, w;
    int data_type, is_virtual;
} tensor;

enum { alignment = 16 }; // bytes

static cudnn_descriptor make_tensor(builder *b, tensor t) {
    const int64_t dims[] = {t.n, t.c, t.h, t.w}, strides[] = {t.h * t.w * t.c, 1, t.w * t.c, t.c}, align = alignment;
    const char is_virtual = 1;
    cudnn_descriptor d = builder_begin(b, CUDNN_TENSOR);
    builder_set(b, d, CUDNN_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t.data_type);
    builder_set(b, d, CUDNN_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    builder_set(b, d, CUDNN_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    builder_set(b, d, CUDNN_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t.id);
    builder_set(b, d, CUDNN_TENSOR_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (t.is_virtual) builder_set(b, d, CUDNN_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    builder_finish(b, d);
    return d;
}

static int data_type(const nvlib_conv *c) { return c->type == NVLIB_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }

// A tensor with the shape of the convolution's output.
static tensor output_like(const nvlib_conv *c, int64_t id) {
    const int64_t h = (c->h + 2 * c->pad - c->kernel) / c->stride + 1, w = (c->w + 2 * c->pad - c->kernel) / c->stride + 1;
    return (tensor){.id = id, .n = c->n, .c = c->k, .h = h, .w = w, .data_type = data_type(c)};
}

// What the graph's operation of that number, counted from 0, writes: memory if it is the last, else float32 that goes to the next.
static cudnn_descriptor make_output(builder *b, const nvlib_conv *c, int operation, int last) {
    tensor t = output_like(c, operand_id(operation == last ? NVLIB_Y : NVLIB_OPERANDS + operation));
    if (operation != last) {
        t.data_type = CUDNN_DATA_FLOAT;
        t.is_virtual = 1;
    }
    return make_tensor(b, t);
}

static cudnn_descriptor make_settings(builder *b, const nvlib_conv *c) {
    const int compute = CUDNN_DATA_FLOAT, mode = CUDNN_CROSS_CORRELATION;
    const int64_t dims = 2, dilations[] = {1, 1}, strides[] = {c->stride, c->stride}, pads[] = {c->pad, c->pad};
    cudnn_descriptor d = builder_begin(b, CUDNN_CONVOLUTION);
    builder_set(b, d, CUDNN_CONVOLUTION_COMPUTE_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    builder_set(b, d, CUDNN_CONVOLUTION_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    builder_set(b, d, CUDNN_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    builder_set(b, d, CUDNN_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations);
    builder_set(b, d, CUDNN_CONVOLUTION_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    builder_set(b, d, CUDNN_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    builder_set(b, d, CUDNN_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    builder_finish(b, d);
    return d;
}

// The convolution or one of its gradients; y is its output, or what it reads as such.
static cudnn_descriptor make_convolution(builder *b, const nvlib_conv *c, cudnn_descriptor y) {
    static const struct {
        int kind, attributes;
    } of[] = {[NVLIB_FORWARD] = {CUDNN_OPERATION_FORWARD, CUDNN_FORWARD},
              [NVLIB_GRAD_DATA] = {CUDNN_OPERATION_GRAD_DATA, CUDNN_GRAD_DATA},
              [NVLIB_GRAD_WEIGHTS] = {CUDNN_OPERATION_GRAD_WEIGHTS, CUDNN_GRAD_WEIGHTS}};
    const float one = 1, zero = 0;
    cudnn_descriptor x = make_tensor(b, (tensor){operand_id(NVLIB_X), c->n, c->c, c->h, c->w, data_type(c), 0});
    cudnn_descriptor w = make_tensor(b, (tensor){operand_id(NVLIB_W), c->k, c->c, c->kernel, c->kernel, data_type(c), 0});
    cudnn_descriptor settings = make_settings(b, c), d = builder_begin(b, of[c->op].kind);
    const int first = of[c->op].attributes;
    builder_set(b, d, first + CUDNN_OP_ALPHA, CUDNN_TYPE_FLOAT, 1, &one);
    builder_set(b, d, first + CUDNN_OP_BETA, CUDNN_TYPE_FLOAT, 1, &zero);
    set_descriptor(b, d, first + CUDNN_OP_CONVOLUTION, settings);
    set_descriptor(b, d, first + CUDNN_OP_W, w);
    set_descriptor(b, d, first + CUDNN_OP_X, x);
    set_descriptor(b, d, first + CUDNN_OP_Y, y);
    builder_finish(b, d);
    return d;
}

// y = x + with, or mode(x) when with is NULL.
static cudnn_descriptor make_pointwise(builder *b, int mode, cudnn_descriptor x, cudnn_descriptor with, cudnn_descriptor y) {
    const int math = CUDNN_DATA_FLOAT;
    cudnn_descriptor settings = builder_begin(b, CUDNN_POINTWISE);
    builder_set(b, settings, CUDNN_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    builder_set(b, settings, CUDNN_POINTWISE_MATH_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &math);
    builder_finish(b, settings);
    cudnn_descriptor d = builder_begin(b, CUDNN_OPERATION_POINTWISE);
    set_descriptor(b, d, CUDNN_OPERATION_POINTWISE_DESCRIPTOR, settings);
    set_descriptor(b, d, CUDNN_OPERATION_POINTWISE_X, x);
    if (with != NULL) set_descriptor(b, d, CUDNN_OPERATION_POINTWISE_B, with);
    set_descriptor(b, d, CUDNN_OPERATION_POINTWISE_Y, y);
    builder_finish(b, d);
    return d;
}

static cudnn_descriptor make_graph(builder *b, int count, const cudnn_descriptor *operations) {
    cudnn_descriptor d = builder_begin(b, CUDNN_GRAPH);
    builder_set(b, d, CUDNN_GRAPH_OPERATIONS, CUDNN_TYPE_DESCRIPTOR, count, operations);
    builder_set(b, d, CUDNN_GRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &b->handles->cudnn);
    builder_finish(b, d);
    return d;
}

// cuDNN's precompiled kernel for fusion knows the order residual, bias, ReLU; the compiled ones do not mind.
cudnn_descriptor builder_convolution(builder *b, const nvlib_conv *c) {
    const int last = c->residual + c->bias + c->relu;
    cudnn_descriptor operations[4], y = make_output(b, c, 0, last), next;
    operations[0] = make_convolution(b, c, y);
    int count = 1;
    if (c->residual) {
        cudnn_descriptor residual = make_tensor(b, output_like(c, operand_id(NVLIB_RESIDUAL)));
        next = make_output(b, c, count, last);
        operations[count++] = make_pointwise(b, CUDNN_POINTWISE_ADD, y, residual, next);
        y = next;
    }
    if (c->bias) {
        cudnn_descriptor bias = make_tensor(b, (tensor){operand_id(NVLIB_BIAS), 1, c->k, 1, 1, CUDNN_DATA_FLOAT, 0});
        next = make_output(b, c, count, last);
        operations[count++] = make_pointwise(b, CUDNN_POINTWISE_ADD, y, bias, next);
        y = next;
    }
    if (c->relu) {
        next = make_output(b, c, count, last);
        operations[count++] = make_pointwise(b, CUDNN_POINTWISE_RELU, y, NULL, next);
    }
    return make_graph(b, count, operations);
}
