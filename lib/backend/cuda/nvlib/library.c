// Opens cuDNN and cuBLAS and looks up their functions.
#define _GNU_SOURCE
#include "nvlib.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

void *nvlib_open(const char *path, int only_loaded, nvlib_problem *p) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | (only_loaded ? RTLD_NOLOAD : 0));
    if (library == NULL) {
        const char *why = dlerror(); // nothing when the name is not among those loaded
        snprintf(p->text, sizeof p->text, "%s", why == NULL ? "not loaded" : why);
    }
    return library;
}

void nvlib_close(void *library) { dlclose(library); }

const char *nvlib_own_path(char *path, size_t bytes) {
    Dl_info info;
    int found = dladdr((void *)nvlib_own_path, &info) != 0 && info.dli_fname != NULL;
    snprintf(path, bytes, "%s", found ? info.dli_fname : "");
    return path;
}

const char *nvlib_path(void *library, char *path, size_t bytes) {
    struct link_map *map = NULL;
    int found = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map->l_name != NULL;
    snprintf(path, bytes, "%s", found ? map->l_name : "");
    return path;
}

// Looks a function up into the table's next place.
static int bind(void *library, const char *name, void *to, nvlib_problem *p) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        snprintf(p->text, sizeof p->text, "it has no function %s", name);
        return 1;
    }
    memcpy(to, &found, sizeof found);
    return 0;
}

int nvlib_bind_cudnn(void *library, nvlib_functions *to, nvlib_problem *p) {
#define BIND(result, name, parameters)                                                                                 \
    if (bind(library, "cudnn" #name, &to->cudnn.name, p)) return 1;
    CUDNN_FUNCTIONS(BIND)
#undef BIND
    return 0;
}

int nvlib_bind_cublas(void *library, nvlib_functions *to, nvlib_problem *p) {
#define BIND(result, name, parameters)                                                                                 \
    if (bind(library, "cublas" #name, &to->cublas.name, p)) return 1;
    CUBLAS_FUNCTIONS(BIND)
#undef BIND
    return 0;
}

size_t nvlib_cudnn_version(const nvlib_functions *f) { return f->cudnn.GetVersion(); }

size_t nvlib_cudnn_cudart(const nvlib_functions *f) { return f->cudnn.GetCudartVersion(); }

int nvlib_cublas_version(const nvlib_functions *f, int property) {
    int value = 0;
    return f->cublas.GetProperty(property, &value) == 0 ? value : 0;
}
