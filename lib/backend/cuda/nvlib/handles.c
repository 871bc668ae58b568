// The handles of an executor's thread, and matrix products.
#include "builder.h"

#include <stdio.h>

static int cublas_failed(nvlib_handles *h, const char *doing, int status) {
    h->problem.memory = status == CUBLAS_STATUS_ALLOC_FAILED;
    snprintf(h->problem.text, sizeof h->problem.text, "cublas: %s: %s (%d)", doing, h->functions->cublas.GetStatusString(status), status);
    return status;
}

static int create(nvlib_handles *h, void *stream) {
    const nvlib_cudnn *dnn = &h->functions->cudnn;
    const nvlib_cublas *blas = &h->functions->cublas;
    int status = dnn->Create(&h->cudnn);
    if (status) return cudnn_failed(h, "creating a handle", status);
    status = dnn->SetStream(h->cudnn, stream);
    if (status) return cudnn_failed(h, "setting the stream", status);
    status = blas->Create_v2(&h->cublas);
    if (status) return cublas_failed(h, "creating a handle", status);
    status = blas->SetStream_v2(h->cublas, stream);
    if (status) return cublas_failed(h, "setting the stream", status);
    return 0;
}

int nvlib_handles_create(const nvlib_functions *f, uintptr_t stream, nvlib_handles *to) {
    *to = (nvlib_handles){.functions = f};
    int status = create(to, (void *)stream);
    if (status) nvlib_handles_destroy(to);
    return status;
}

void nvlib_handles_destroy(nvlib_handles *h) {
    if (h->cublas != NULL) h->functions->cublas.Destroy_v2(h->cublas);
    if (h->cudnn != NULL) h->functions->cudnn.Destroy(h->cudnn);
    h->cublas = NULL;
    h->cudnn = NULL;
}

// Setting the stream would take the workspace away again, so that is not done any more.
int nvlib_set_workspace(nvlib_handles *h, uint64_t address, size_t bytes) {
    int status = h->functions->cublas.SetWorkspace_v2(h->cublas, (void *)(uintptr_t)address, bytes);
    return status ? cublas_failed(h, "setting the workspace", status) : 0;
}

// cuBLAS counts columns first: what is C = op(A)·op(B) by rows is Cᵀ = op(B)ᵀ·op(A)ᵀ to it.
int nvlib_gemm(nvlib_handles *h, int trans_a, int trans_b, int m, int n, int k, uint64_t a, int lda, uint64_t b, int ldb, uint64_t c, int ldc,
               int tf32) {
    const float one = 1, zero = 0;
    int status = h->functions->cublas.GemmEx(
        h->cublas, trans_b ? CUBLAS_OP_T : CUBLAS_OP_N, trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k, &one, (void *)(uintptr_t)b,
        CUBLAS_DATA_FLOAT, ldb, (void *)(uintptr_t)a, CUBLAS_DATA_FLOAT, lda, &zero, (void *)(uintptr_t)c, CUBLAS_DATA_FLOAT, ldc,
        tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
    return status ? cublas_failed(h, "multiplying matrices", status) : 0;
}
