// The emulated libcublas.so.12: float32 matrix products, counted by columns as cuBLAS does.
#include <cstdio>
#include <mutex>
#include <set>
#include <string>
#include "emulated.h"
#include "numbers.h"

extern "C" {
int cuStreamIsCapturing(void *stream, int *status);
int cuCtxSynchronize();
}

namespace emulated {

enum cublas_status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum { OP_N = 0, OP_T = 1, R_32F = 0, COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77, GEMM_DEFAULT = -1 };

struct cublas {
    void *stream, *workspace;
    size_t bytes;
};

static std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> locked;
static std::set<const cublas *> handles;

static int refuse(int status, const char *text) {
    char all[200];
    snprintf(all, sizeof all, "cublas: %s", text);
    emulated_problem(all);
    return status;
}

// The product's numbers, as its kernel would get them. Element (i, j) of a matrix lies at i·row + j·column.
struct product {
    int m, n, k;
    float alpha, beta;
    bool tf32;
    const float *a, *b;
    float *c;
    long a_row, a_column, b_row, b_column, c_column;
};

static float rounded(const product &p, float v) { return p.tf32 ? round_tf32(v) : v; }

static void run(const void *args) {
    const product &p = *(const product *)args;
    for (long j = 0; j < p.n; j++)
        for (long i = 0; i < p.m; i++) {
            float sum = 0;
            for (long l = 0; l < p.k; l++) {
                sum += rounded(p, p.a[i * p.a_row + l * p.a_column]) * rounded(p, p.b[l * p.b_row + j * p.b_column]);
            }
            float &c = p.c[i + j * p.c_column];
            c = p.alpha * sum + (p.beta != 0 ? p.beta * c : 0);
        }
}

// Bytes of a matrix with the given columns, each of rows elements, which lie leading elements apart.
static size_t matrix_bytes(int rows, int columns, int leading) { return ((size_t)leading * (size_t)(columns - 1) + (size_t)rows) * sizeof(float); }

static int check_matrix(const char *name, const void *at, int rows, int columns, int leading) {
    if (leading < rows) return refuse(INVALID_VALUE, (std::string(name) + ": its leading dimension is too small").c_str());
    if (emulated_inside(at, matrix_bytes(rows, columns, leading)) && (uintptr_t)at % 4 == 0) return SUCCESS;
    return refuse(EXECUTION_FAILED, (std::string(name) + " does not lie inside one allocation").c_str());
}

// A handle without a workspace of its own allocates, which a capture does not allow.
static int check_capture(const cublas *h) {
    int capturing = 0;
    cuStreamIsCapturing(h->stream, &capturing);
    if (!capturing || h->workspace) return SUCCESS;
    return refuse(EXECUTION_FAILED, "the stream is being captured, and the handle has no workspace of the program's");
}

} // namespace emulated

using namespace emulated;

#define API(result) extern "C" __attribute__((visibility("default"))) result

API(const char *) cublasGetStatusString(int status) { return status == SUCCESS ? "success" : "an error of the emulated cuBLAS"; }

API(int) cublasGetProperty(int property, int *value) {
    static const int version[] = {12, 6, 4};
    if (property < 0 || property > 2 || !value) return INVALID_VALUE;
    *value = version[property];
    return SUCCESS;
}

API(int) cublasCreate_v2(void **out) {
    locked held(lock);
    if (emulated_enter(__func__)) return NOT_INITIALIZED;
    cublas *h = new cublas{};
    handles.insert(h);
    emulated_count("cublas handle", 1);
    *out = h;
    return SUCCESS;
}

// The real one waits for the device.
API(int) cublasDestroy_v2(void *handle) {
    locked held(lock);
    cublas *h = (cublas *)handle;
    if (!handles.erase(h)) return refuse(NOT_INITIALIZED, "cublasDestroy: no such handle");
    cuCtxSynchronize();
    emulated_count("cublas handle", -1);
    delete h;
    return SUCCESS;
}

// Setting the stream takes the workspace away.
API(int) cublasSetStream_v2(void *handle, void *stream) {
    locked held(lock);
    cublas *h = (cublas *)handle;
    if (!handles.count(h)) return refuse(NOT_INITIALIZED, "cublasSetStream: no such handle");
    *h = {stream, nullptr, 0};
    return SUCCESS;
}

API(int) cublasSetWorkspace_v2(void *handle, void *workspace, size_t bytes) {
    locked held(lock);
    cublas *h = (cublas *)handle;
    if (!handles.count(h)) return refuse(NOT_INITIALIZED, "cublasSetWorkspace: no such handle");
    if ((uintptr_t)workspace % 256) return refuse(INVALID_VALUE, "the workspace is not aligned to 256 bytes");
    if (!emulated_inside(workspace, bytes)) return refuse(INVALID_VALUE, "the workspace does not lie inside one allocation");
    h->workspace = workspace;
    h->bytes = bytes;
    return SUCCESS;
}

API(int) cublasGemmEx(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda,
                      const void *b, int type_b, int ldb, const void *beta, void *c, int type_c, int ldc, int compute, int algorithm) {
    locked held(lock);
    cublas *h = (cublas *)handle;
    if (!handles.count(h)) return refuse(NOT_INITIALIZED, "cublasGemmEx: no such handle");
    if (emulated_enter(__func__)) return EXECUTION_FAILED;
    if (m < 0 || n < 0 || k < 0 || op_a < OP_N || op_a > OP_T || op_b < OP_N || op_b > OP_T || !alpha || !beta)
        return refuse(INVALID_VALUE, "cublasGemmEx: a size, an operation or a factor");
    if (type_a != R_32F || type_b != R_32F || type_c != R_32F || (compute != COMPUTE_32F && compute != COMPUTE_32F_FAST_TF32) ||
        algorithm != GEMM_DEFAULT)
        return refuse(NOT_SUPPORTED, "cublasGemmEx: a type or an algorithm");
    if (int s = check_matrix("A", a, op_a ? k : m, op_a ? m : k, lda)) return s;
    if (int s = check_matrix("B", b, op_b ? n : k, op_b ? k : n, ldb)) return s;
    if (int s = check_matrix("C", c, m, n, ldc)) return s;
    if (int s = check_capture(h)) return s;
    // Factors on the host are read now.
    const product p = {m, n, k, *(const float *)alpha, *(const float *)beta, compute == COMPUTE_32F_FAST_TF32, (const float *)a,
                       (const float *)b, (float *)c, op_a ? lda : 1, op_a ? 1 : lda, op_b ? ldb : 1, op_b ? 1 : ldb, ldc};
    return emulated_enqueue(h->stream, "cublas product", run, &p, sizeof p) ? EXECUTION_FAILED : SUCCESS;
}
