// What nvlib uses of cuBLAS's C interface, the same in versions 11 to 13. The numbers are those of cublasComputeType_t, cudaDataType_t,
// cublasOperation_t, cublasGemmAlgo_t and libraryPropertyType in cublas_api.h and library_types.h, looked up in generated bindings of
// CUDA 12 and 13.
#ifndef DSL_CUBLAS_H
#define DSL_CUBLAS_H

#include <stddef.h>

typedef void *cublas_handle;

enum {
    CUBLAS_MAJOR_VERSION = 0,
    CUBLAS_MINOR_VERSION = 1,
    CUBLAS_PATCH_LEVEL = 2,

    CUBLAS_OP_N = 0,
    CUBLAS_OP_T = 1,

    CUBLAS_DATA_FLOAT = 0,
    CUBLAS_COMPUTE_32F = 68,
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
    CUBLAS_GEMM_DEFAULT = -1,

    CUBLAS_STATUS_ALLOC_FAILED = 3,
};

// The functions, as X(result, name without "cublas", parameters).
#define CUBLAS_FUNCTIONS(X)                                                                                            \
    X(int, Create_v2, (cublas_handle *))                                                                               \
    X(int, Destroy_v2, (cublas_handle))                                                                                \
    X(int, SetStream_v2, (cublas_handle, void *stream))                                                                \
    X(int, SetWorkspace_v2, (cublas_handle, void *, size_t bytes))                                                     \
    X(int, GetProperty, (int property, int *value))                                                                    \
    X(const char *, GetStatusString, (int status))                                                                     \
    X(int, GemmEx,                                                                                                     \
      (cublas_handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda,  \
       const void *b, int type_b, int ldb, const void *beta, void *c, int type_c, int ldc, int compute, int algorithm))

#endif
