// oneDNN, loaded rather than linked.
//
// Linked, its functions would be looked up in the whole process: a program that carries another oneDNN would have ours call into that one. So
// libdnnl is opened privately, and each function that we call is a stub of this library that jumps through a slot. A function missing here
// is an undefined reference when tests are linked: add it to the list.
#define _GNU_SOURCE
#include "loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#define FUNCTIONS(X)                                                                                                   \
    X(dnnl_convolution_backward_data_desc_init)                                                                        \
    X(dnnl_convolution_backward_weights_desc_init)                                                                     \
    X(dnnl_convolution_forward_desc_init)                                                                              \
    X(dnnl_engine_create)                                                                                              \
    X(dnnl_engine_destroy)                                                                                             \
    X(dnnl_get_effective_cpu_isa)                                                                                      \
    X(dnnl_memory_create)                                                                                              \
    X(dnnl_memory_desc_equal)                                                                                          \
    X(dnnl_memory_desc_get_size)                                                                                       \
    X(dnnl_memory_desc_init_by_tag)                                                                                    \
    X(dnnl_memory_destroy)                                                                                             \
    X(dnnl_memory_get_memory_desc)                                                                                     \
    X(dnnl_memory_set_data_handle_v2)                                                                                  \
    X(dnnl_post_ops_append_binary)                                                                                     \
    X(dnnl_post_ops_append_eltwise)                                                                                    \
    X(dnnl_post_ops_append_sum)                                                                                        \
    X(dnnl_post_ops_append_sum_v2)                                                                                     \
    X(dnnl_post_ops_create)                                                                                            \
    X(dnnl_post_ops_destroy)                                                                                           \
    X(dnnl_primitive_attr_create)                                                                                      \
    X(dnnl_primitive_attr_destroy)                                                                                     \
    X(dnnl_primitive_attr_set_output_scales)                                                                           \
    X(dnnl_primitive_attr_set_post_ops)                                                                                \
    X(dnnl_primitive_attr_set_scratchpad_mode)                                                                         \
    X(dnnl_primitive_create)                                                                                           \
    X(dnnl_primitive_desc_destroy)                                                                                     \
    X(dnnl_primitive_desc_iterator_create)                                                                             \
    X(dnnl_primitive_desc_iterator_destroy)                                                                            \
    X(dnnl_primitive_desc_iterator_fetch)                                                                              \
    X(dnnl_primitive_desc_query)                                                                                       \
    X(dnnl_primitive_desc_query_md)                                                                                    \
    X(dnnl_primitive_destroy)                                                                                          \
    X(dnnl_primitive_execute)                                                                                          \
    X(dnnl_reorder_primitive_desc_create)                                                                              \
    X(dnnl_sgemm)                                                                                                      \
    X(dnnl_stream_create)                                                                                              \
    X(dnnl_stream_destroy)                                                                                             \
    X(dnnl_version)

#define SONAME "libdnnl.so.2"

enum { runtime_error = 5 }; // dnnl_runtime_error

// What every function does while there is no oneDNN.
static int missing(void) { return runtime_error; }

#define SLOT(name) __attribute__((visibility("hidden"))) void *dsl_slot_##name = (void *)missing;
FUNCTIONS(SLOT)

#define STUB(name)                                                                                                     \
    __asm__(".text\n.globl " #name "\n.hidden " #name "\n.type " #name ", @function\n" #name ":\n"                     \
            "    endbr64\n    jmp *dsl_slot_" #name "(%rip)\n.size " #name ", . - " #name "\n");
FUNCTIONS(STUB)

static char problem[256];

static const struct {
    const char *name;
    void **slot;
} functions[] = {
#define ENTRY(name) {#name, &dsl_slot_##name},
    FUNCTIONS(ENTRY)};

static void load(void) {
    int flags = RTLD_NOW | RTLD_LOCAL;
#ifndef __SANITIZE_ADDRESS__ // which refuses RTLD_DEEPBIND
    if (dlsym(RTLD_DEFAULT, "dnnl_engine_create") != NULL) {
        flags |= RTLD_DEEPBIND; // the program has a oneDNN: ours must find itself first
    }
#endif
    // Debian's libdnnl needs this one, and would not search the folder that libdsl searches; it takes what is loaded already.
    (void)dlopen("libOpenCL.so.1", RTLD_LAZY | RTLD_LOCAL);
    void *library = dlopen(SONAME, flags);
    if (library == NULL) {
        snprintf(problem, sizeof problem, "onednn: cannot load " SONAME ": %s", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *found = dlsym(library, functions[i].name);
        if (found == NULL) {
            snprintf(problem, sizeof problem, "onednn: " SONAME " has no %s; oneDNN 2.6 is needed", functions[i].name);
            return;
        }
        *functions[i].slot = found;
    }
}

// The first call loads. A constructor of ours would race with Go's, which starts the packages' initialisation on a thread of its own.
const char *dsl_onednn_problem(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return problem[0] == 0 ? NULL : problem;
}
