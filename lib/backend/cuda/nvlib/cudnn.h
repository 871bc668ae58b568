// What nvlib uses of cuDNN 9's C interface: numbers and functions. The graph ("backend") part of it is an untyped one: descriptors with
// numbered attributes, so that a wrong number compiles. Each was looked up in three places:
//
//	header    cudnn_graph.h of cuDNN 9.6, the enumeration of that name
//	bindings  bindings generated from the headers of cuDNN 9.22, which give each number as there since 9.0
//	use       how cudnn-frontend (F), PyTorch's convolutions (P) and TensorFlow (T) use it
//
//	what                     | enumeration                    | header | bindings | use
//	-------------------------|--------------------------------|--------|----------|----------------------------------------------------
//	kinds of descriptor      | cudnnBackendDescriptorType_t   | yes    | yes      | F: one class each
//	types of attribute value | cudnnBackendAttributeType_t    | yes    | yes      | F: a boolean is one byte, an enumeration an int
//	attributes 0, 1          | cudnnBackendAttributeName_t    | yes    | yes      | F: node/pointwise
//	100 to 106               | "                              | yes    | yes      | F: node/conv_wgrad
//	200 to 202               | "                              | yes    | yes      | F: Heuristics; the number of results is asked for first
//	300, 302, 600, 601       | "                              | yes    | yes      | F: Filters; ExecutionPlan, where it makes a plan's tag
//	400 to 402               | "                              | yes    | yes      | F: ExecutionPlan
//	700 to 717               | "                              | yes    | yes      | F: node/conv_wgrad; alpha and beta are floats
//	750 to 753               | "                              | yes    | yes      | F: node/pointwise
//	800, 801                 | "                              | yes    | yes      | P: OperationGraphBuilder
//	900 to 903, 906, 907     | "                              | yes    | yes      | P: TensorBuilder
//	1000, 1001, 1003         | "                              | yes    | yes      | F: backend/execution_helpers
//	1301, 1303, 1305         | "                              | yes    | yes      | F: Filters, ExecutionPlan
//	numerical notes          | cudnnBackendNumericalNote_t    | yes    | yes      | P: which of them mean TF32
//	behaviour notes          | cudnnBackendBehaviorNote_t     | yes    | yes      | F: Filters
//	modes of heuristics      | cudnnBackendHeurMode_t         | yes    | yes      | F: A, then FALLBACK
//	knobs                    | cudnnBackendKnobType_t         | yes    | yes      | F: ExecutionPlan asks for as many as there are types
//	pointwise modes          | cudnnPointwiseMode_t           | yes    | yes      | T: convolution, addition, bias, activation, in this order
//	data types               | cudnnDataType_t                | yes    | yes      | P
//	cross-correlation        | cudnnConvolutionMode_t         | yes    | yes      | P
//	statuses                 | cudnnStatus_t                  | yes    | yes      | CUDNN_STATUS_CATEGORY: its thousands
#ifndef DSL_CUDNN_H
#define DSL_CUDNN_H

#include <stddef.h>
#include <stdint.h>

typedef void *cudnn_handle;
typedef void *cudnn_descriptor;

// Kinds of descriptor.
enum {
    CUDNN_POINTWISE = 0,
    CUDNN_CONVOLUTION = 1,
    CUDNN_ENGINE = 2,
    CUDNN_ENGINE_CONFIG = 3,
    CUDNN_HEURISTICS = 4,
    CUDNN_PLAN = 5,
    CUDNN_KNOB_CHOICE = 7,
    CUDNN_OPERATION_FORWARD = 10,
    CUDNN_OPERATION_GRAD_WEIGHTS = 11,
    CUDNN_OPERATION_GRAD_DATA = 12,
    CUDNN_OPERATION_POINTWISE = 13,
    CUDNN_GRAPH = 15,
    CUDNN_VARIANT_PACK = 16,
    CUDNN_TENSOR = 17,
};

// Types of attribute value.
enum {
    CUDNN_TYPE_HANDLE = 0,
    CUDNN_TYPE_DATA_TYPE = 1,
    CUDNN_TYPE_BOOLEAN = 2,
    CUDNN_TYPE_INT64 = 3,
    CUDNN_TYPE_FLOAT = 4,
    CUDNN_TYPE_POINTER = 6,
    CUDNN_TYPE_CONVOLUTION_MODE = 7,
    CUDNN_TYPE_HEURISTICS_MODE = 8,
    CUDNN_TYPE_KNOB = 9,
    CUDNN_TYPE_NUMERICAL_NOTE = 11,
    CUDNN_TYPE_POINTWISE_MODE = 14,
    CUDNN_TYPE_DESCRIPTOR = 15,
    CUDNN_TYPE_BEHAVIOR_NOTE = 19,
};

// Attributes.
enum {
    CUDNN_POINTWISE_MODE = 0,
    CUDNN_POINTWISE_MATH_TYPE = 1,

    CUDNN_CONVOLUTION_COMPUTE_TYPE = 100,
    CUDNN_CONVOLUTION_MODE = 101,
    CUDNN_CONVOLUTION_DILATIONS = 102,
    CUDNN_CONVOLUTION_STRIDES = 103,
    CUDNN_CONVOLUTION_POST_PADDINGS = 104,
    CUDNN_CONVOLUTION_PRE_PADDINGS = 105,
    CUDNN_CONVOLUTION_SPATIAL_DIMS = 106,

    CUDNN_HEURISTICS_MODE = 200,
    CUDNN_HEURISTICS_GRAPH = 201,
    CUDNN_HEURISTICS_RESULTS = 202,

    CUDNN_ENGINE_CONFIG_ENGINE = 300,
    CUDNN_ENGINE_CONFIG_KNOB_CHOICES = 302,

    CUDNN_PLAN_HANDLE = 400,
    CUDNN_PLAN_ENGINE_CONFIG = 401,
    CUDNN_PLAN_WORKSPACE_SIZE = 402,

    CUDNN_KNOB_CHOICE_KNOB = 600,
    CUDNN_KNOB_CHOICE_VALUE = 601,

    // The three operations of a convolution have the same six attributes in the same order, from here on.
    CUDNN_FORWARD = 700,
    CUDNN_GRAD_DATA = 706,
    CUDNN_GRAD_WEIGHTS = 712,
    CUDNN_OP_ALPHA = 0,
    CUDNN_OP_BETA = 1,
    CUDNN_OP_CONVOLUTION = 2,
    CUDNN_OP_W = 3, // or its gradient, and so on
    CUDNN_OP_X = 4,
    CUDNN_OP_Y = 5,

    CUDNN_OPERATION_POINTWISE_DESCRIPTOR = 750,
    CUDNN_OPERATION_POINTWISE_X = 751,
    CUDNN_OPERATION_POINTWISE_B = 752,
    CUDNN_OPERATION_POINTWISE_Y = 753,

    CUDNN_GRAPH_HANDLE = 800,
    CUDNN_GRAPH_OPERATIONS = 801,

    CUDNN_TENSOR_ALIGNMENT = 900,
    CUDNN_TENSOR_DATA_TYPE = 901,
    CUDNN_TENSOR_DIMENSIONS = 902,
    CUDNN_TENSOR_STRIDES = 903,
    CUDNN_TENSOR_UNIQUE_ID = 906,
    CUDNN_TENSOR_IS_VIRTUAL = 907,

    CUDNN_VARIANT_PACK_UNIQUE_IDS = 1000,
    CUDNN_VARIANT_PACK_POINTERS = 1001,
    CUDNN_VARIANT_PACK_WORKSPACE = 1003,

    CUDNN_ENGINE_GLOBAL_INDEX = 1301,
    CUDNN_ENGINE_NUMERICAL_NOTE = 1303,
    CUDNN_ENGINE_BEHAVIOR_NOTE = 1305,
};

// Values.
enum {
    CUDNN_DATA_FLOAT = 0,
    CUDNN_DATA_BFLOAT16 = 9,

    CUDNN_CROSS_CORRELATION = 1,

    CUDNN_POINTWISE_ADD = 0,
    CUDNN_POINTWISE_RELU = 100,

    CUDNN_MODE_FALLBACK = 2,
    CUDNN_MODE_A = 3,

    CUDNN_NOTE_TENSOR_CORE = 0, // for float32 data: TF32
    CUDNN_NOTE_DOWN_CONVERT_INPUTS = 1,
    CUDNN_NOTE_REDUCED_PRECISION_REDUCTION = 2,
    CUDNN_NOTE_FFT = 3,
    CUDNN_NOTE_NONDETERMINISTIC = 4,
    CUDNN_NOTE_WINOGRAD = 5, // and for tiles of 4×4, 6×6 and 13×13 the next three
    CUDNN_NOTE_WINOGRAD_13X13 = 8,
    CUDNN_NUMERICAL_NOTES = 10, // how many there are

    CUDNN_NOTE_REQUIRES_FILTER_REORDER = 1,
    CUDNN_NOTE_REQUIRES_BIAS_REORDER = 2,
    CUDNN_BEHAVIOR_NOTES = 4,

    CUDNN_KNOBS = 37,

    CUDNN_STATUS_NOT_SUPPORTED = 3000, // and the statuses of its thousand
    CUDNN_STATUS_HOST_ALLOCATION_FAILED = 4003,
    CUDNN_STATUS_DEVICE_ALLOCATION_FAILED = 4004,
};

// The functions, as X(result, name without "cudnn", parameters).
#define CUDNN_FUNCTIONS(X)                                                                                             \
    X(int, Create, (cudnn_handle *))                                                                                   \
    X(int, Destroy, (cudnn_handle))                                                                                    \
    X(int, SetStream, (cudnn_handle, void *stream))                                                                    \
    X(size_t, GetVersion, (void))                                                                                      \
    X(size_t, GetCudartVersion, (void))                                                                                \
    X(const char *, GetErrorString, (int status))                                                                      \
    X(void, GetLastErrorString, (char *, size_t bytes))                                                                \
    X(int, BackendCreateDescriptor, (int kind, cudnn_descriptor *))                                                    \
    X(int, BackendDestroyDescriptor, (cudnn_descriptor))                                                               \
    X(int, BackendFinalize, (cudnn_descriptor))                                                                        \
    X(int, BackendSetAttribute, (cudnn_descriptor, int name, int type, int64_t count, const void *))                   \
    X(int, BackendGetAttribute, (cudnn_descriptor, int name, int type, int64_t most, int64_t *count, void *))          \
    X(int, BackendExecute, (cudnn_handle, cudnn_descriptor plan, cudnn_descriptor variant_pack))

#endif
