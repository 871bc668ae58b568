// The driver's functions as trampolines: each jumps to the driver's own once dsl_cuda_open has found one, and returns an error before.
#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma GCC visibility push(hidden)

static struct {
#define X(name, symbol, older, parameters, arguments) CUresult(*name) parameters;
#include "cuda_syms.inc"
#undef X
} table;

static const struct {
    const char *symbol, *older;
} names[] = {
#define X(name, symbol, older, parameters, arguments) {symbol, older},
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

#define X(name, symbol, older, parameters, arguments)                                                                  \
    CUresult name parameters {                                                                                         \
        CUresult(*driver_) parameters = __atomic_load_n(&table.name, __ATOMIC_RELAXED);                                      \
        return __builtin_expect(driver_ != 0, 1) ? driver_ arguments : absent();                                                   \
    }
#include "cuda_syms.inc"
#undef X

// gorgonia.org/cu calls this when the library is loaded, and exits when it fails. The driver is left alone until it is needed: starting it takes 100 ms
// and must not happen before a fork.
CUresult cuInit(unsigned int flags) { return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS; }

// The driver named by DSL_CUDA_DRIVER ("none" for no driver), or the first that is found.
static void *find(void) {
    static const char *const usual[] = {"libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1",
                                        "/usr/lib64-nvidia/libcuda.so.1", 0};
    const char *named = getenv("DSL_CUDA_DRIVER");
    if (named && !strcmp(named, "none")) {
        snprintf(info.message, sizeof info.message, "switched off by DSL_CUDA_DRIVER=none");
        return 0;
    }
    const char *const one[] = {named, 0};
    for (const char *const *path = named && *named ? one : usual; *path; path++) {
        void *driver = dlopen(*path, RTLD_NOW | RTLD_LOCAL);
        if (driver) return driver;
        if (!info.message[0]) snprintf(info.message, sizeof info.message, "%s", dlerror()); // the first is the one that people know
    }
    return 0;
}

static void resolve(void *driver) {
    void **entry = (void **)&table;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *f = dlsym(driver, names[i].symbol);
        if (!f && names[i].older[0]) f = dlsym(driver, names[i].older);
        __atomic_store_n(&entry[i], f, __ATOMIC_RELAXED);
    }
}

// The driver is initialised before its functions are looked up, as it asks for, and is never closed.
static int start(void) {
    void *driver = find();
    if (!driver) return DSL_CUDA_NO_DRIVER;
    CUresult (*init)(unsigned) = (CUresult(*)(unsigned))dlsym(driver, "cuInit");
    Dl_info where;
    if (init && dladdr((void *)init, &where) && where.dli_fname) snprintf(info.path, sizeof info.path, "%s", where.dli_fname);
    info.init_result = init ? (int)init(0) : CUDA_ERROR_NOT_FOUND;
    if (info.init_result != CUDA_SUCCESS) return DSL_CUDA_FAILED;
    resolve(driver);
    if (table.cuDriverGetVersion) table.cuDriverGetVersion(&info.version);
    if (table.cuDeviceGetCount) table.cuDeviceGetCount(&info.devices);
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
