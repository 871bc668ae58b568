// Loads oneDNN.
#ifndef DSL_ONEDNN_LOADER_H
#define DSL_ONEDNN_LOADER_H

#ifdef __cplusplus
extern "C" {
#endif

// NULL, or why there is no oneDNN. Every use of oneDNN comes after a call that returned NULL.
__attribute__((visibility("hidden"))) const char *dsl_onednn_problem(void);

#ifdef __cplusplus
}
#endif

#endif
