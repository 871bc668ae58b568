// The driver's functions as trampolines: each jumps to the driver's own once dsl_cuda_open has found one, and returns an error before.
#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

static struct {
#define X(name, symbol, parameters, arguments) CUresult(*name) parameters;
#include "cuda_syms.inc"
#undef X
} table;

static const char *const symbols[] = {
#define X(name, symbol, parameters, arguments) symbol,
#include "cuda_syms.inc"
#undef X
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static dsl_cuda_info info;

static CUresult absent(void) {
    switch (__atomic_load_n(&info.state, __ATOMIC_ACQUIRE)) {
    case DSL_CUDA_CLOSED: return CUDA_ERROR_NOT_INITIALIZED;
    case DSL_CUDA_READY: return CUDA_ERROR_NOT_SUPPORTED; // this driver has no such function
    default: return CUDA_ERROR_NO_DEVICE;
    }
}

#define X(name, symbol, parameters, arguments)                                              \
    CUresult name parameters {                                                              \
        CUresult(*driver_) parameters = __atomic_load_n(&table.name, __ATOMIC_RELAXED);     \
        return __builtin_expect(driver_ != 0, 1) ? driver_ arguments : absent();            \
    }
#include "cuda_syms.inc"
#undef X

// gorgonia.org/cu calls this when the library is loaded, and exits when it fails. The driver is left alone until it is needed: starting it takes
// 100 ms and must not happen before a fork.
CUresult cuInit(unsigned int flags) { return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }

// The driver of that path, or the first in the usual places. The loader's reason is kept for the first of them, which is the one that people know.
static void *find(const char *named) {
    static const char *const usual[] = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1",
                                        "/usr/lib64-nvidia/libcuda.so.1", 0};
    const char *const one[] = {named, 0};
    for (const char *const *path = named ? one : usual; *path; path++) {
        void *driver = dlopen(*path, RTLD_NOW | RTLD_LOCAL);
        const char *reason = dlerror();
        if (driver) return driver;
        if (!info.message[0] && reason) snprintf(info.message, sizeof info.message, "%s", reason);
    }
    return 0;
}

// Runs the driver's own cuInit and keeps its result's name and number.
static CUresult initialise(void *driver) {
    CUresult (*init)(unsigned) = (CUresult(*)(unsigned))dlsym(driver, "cuInit");
    CUresult (*name)(CUresult, const char **) = (CUresult(*)(CUresult, const char **))dlsym(driver, "cuGetErrorName");
    const char *text = 0;
    if (!init || !name) return CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND;
    CUresult result = init(0);
    if (name(result, &text) != CUDA_SUCCESS || !text) text = "error";
    snprintf(info.message, sizeof info.message, "%s (%d)", text, (int)result);
    return result;
}

static void resolve(void *driver) {
    void **entry = (void **)&table;
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        __atomic_store_n(&entry[i], dlsym(driver, symbols[i]), __ATOMIC_RELAXED);
}

// The driver is initialised before its functions are looked up, as it asks for, and is never closed.
static int start(void) {
    struct link_map *where;
    const char *named = getenv("DSL_CUDA_DRIVER");
    if (named && !strcmp(named, "none")) return DSL_CUDA_OFF;
    if (named && !*named) named = 0;
    void *driver = find(named);
    if (!driver) return DSL_CUDA_NO_DRIVER;
    if (dlinfo(driver, RTLD_DI_LINKMAP, &where) == 0) snprintf(info.path, sizeof info.path, "%s", where->l_name);
    info.init_result = (int)initialise(driver);
    if (info.init_result != CUDA_SUCCESS) return DSL_CUDA_FAILED;
    resolve(driver);
    cuDriverGetVersion(&info.version);
    cuDeviceGetCount(&info.devices);
    return DSL_CUDA_READY;
}

void dsl_cuda_open(dsl_cuda_info *out) {
    pthread_mutex_lock(&mutex);
    if (info.state == DSL_CUDA_CLOSED) {
        int state = start();
        __atomic_store_n(&info.state, state, __ATOMIC_RELEASE);
    }
    *out = info;
    pthread_mutex_unlock(&mutex);
}
#pragma GCC visibility pop
