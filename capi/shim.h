/* What the C and the Go half of the boundary know of each other, beside the exported Go functions. */
#ifndef DSL_SHIM_H
#define DSL_SHIM_H

#include "dsl.h"

/* 1 when the token was cancelled; 0 for NULL and freed ones. Safe everywhere. */
int32_t shim_token_cancelled(uintptr_t token);

/* Tokens alive. */
int64_t shim_token_count(void);

/* Calls a progress callback. */
int32_t shim_call_progress(dsl_progress_fn fn, const dsl_progress *progress, void *user);

/* Makes message (malloc'd, or NULL for none) the thread's last error and returns status. */
int32_t shim_finish(int32_t status, char *message);

/* 1 in a child of fork(). */
int32_t shim_is_forked(void);

#endif
