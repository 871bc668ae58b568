// What the Go side calls. A call that can fail returns 0 for success; the reason for anything else is in its problem.
#ifndef DSL_NVLIB_H
#define DSL_NVLIB_H

#include <stddef.h>
#include <stdint.h>

#include "cublas.h"
#include "cudnn.h"

// Why a call failed.
typedef struct nvlib_problem {
    int memory; // there was not enough of it
    char text[480];
} nvlib_problem;

#define FIELD(result, name, parameters) result(*name) parameters;
typedef struct nvlib_cudnn {
    CUDNN_FUNCTIONS(FIELD)
} nvlib_cudnn;

typedef struct nvlib_cublas {
    CUBLAS_FUNCTIONS(FIELD)
} nvlib_cublas;
#undef FIELD

// The functions of both libraries.
typedef struct nvlib_functions {
    nvlib_cudnn cudnn;
    nvlib_cublas cublas;
} nvlib_functions;

// Opens a library file, or finds a name among the libraries that are loaded already; NULL with the loader's reason.
void *nvlib_open(const char *path, int only_loaded, nvlib_problem *p);
void nvlib_close(void *library);
// The file of a function or of a library; "" when it is not known. The result lies in the buffer.
const char *nvlib_own_path(char *path, size_t bytes);
const char *nvlib_path(void *library, char *path, size_t bytes);
int nvlib_bind_cudnn(void *library, nvlib_functions *to, nvlib_problem *p);
int nvlib_bind_cublas(void *library, nvlib_functions *to, nvlib_problem *p);
size_t nvlib_cudnn_version(const nvlib_functions *f);
size_t nvlib_cudnn_cudart(const nvlib_functions *f);
int nvlib_cublas_version(const nvlib_functions *f, int property);

// The handles of a thread, its stream's.
typedef struct nvlib_handles {
    const nvlib_functions *functions;
    cudnn_handle cudnn;
    cublas_handle cublas;
    nvlib_problem problem;
} nvlib_handles;

int nvlib_handles_create(const nvlib_functions *f, uintptr_t stream, nvlib_handles *to);
void nvlib_handles_destroy(nvlib_handles *h);
int nvlib_set_workspace(nvlib_handles *h, uint64_t address, size_t bytes);
int nvlib_gemm(nvlib_handles *h, int trans_a, int trans_b, int m, int n, int k, uint64_t a, int lda, uint64_t b, int ldb, uint64_t c, int ldc,
               int tf32);

enum { NVLIB_FORWARD, NVLIB_GRAD_DATA, NVLIB_GRAD_WEIGHTS }; // Op in Go
enum { NVLIB_F32, NVLIB_BF16 };                              // Type in Go

typedef struct nvlib_conv {
    int op, type;
    int64_t n, h, w, c, k, kernel, stride, pad;
    int tf32, deterministic, bias, residual, relu;
} nvlib_conv;

// The operands of a convolution, in the order of Operands in Go.
enum { NVLIB_X, NVLIB_W, NVLIB_Y, NVLIB_BIAS, NVLIB_RESIDUAL, NVLIB_OPERANDS };

typedef struct nvlib_plan {
    nvlib_handles *handles;
    cudnn_descriptor config, plan;
    int64_t workspace;
    int operands; // bit i: it takes operand i
    char name[160];
} nvlib_plan;

// Finds up to most plans. None at all is a success.
int nvlib_plans(nvlib_handles *h, const nvlib_conv *c, int most, int64_t max_workspace, nvlib_plan **to, int *count);
int nvlib_plan_run(nvlib_plan *p, uint64_t x, uint64_t w, uint64_t y, uint64_t bias, uint64_t residual, uint64_t workspace);
void nvlib_plan_destroy(nvlib_plan *p);

#endif
