/* The last error of each thread, and the guard against fork().
 *
 * The message hangs on a pthread key, not on a __thread variable: a Go library has static TLS, whose spare room in a running
 * program is a few hundred bytes. */
#include "shim.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t message_key;
static int message_key_made;
static volatile int32_t forked;

static const char forked_message[] =
    "capi: libdsl cannot be used in a child of fork(): start it with spawn or forkserver "
    "(Python: multiprocessing.get_context(\"spawn\"), DataLoader(multiprocessing_context=\"spawn\"))";
static const char memory_message[] = "capi: out of memory";

static void after_fork_in_child(void) { forked = 1; }

/* Runs when the library is loaded: Go's runtime starts threads at that moment, which no child inherits. */
__attribute__((constructor)) static void set_up(void) {
    pthread_atfork(NULL, NULL, after_fork_in_child);
    message_key_made = pthread_key_create(&message_key, free) == 0;
}

int32_t shim_is_forked(void) { return forked; }

int32_t shim_finish(int32_t status, char *message) {
    if (message_key_made) {
        free(pthread_getspecific(message_key));
        pthread_setspecific(message_key, message);
    } else {
        free(message);
    }
    return status;
}

const char *dsl_last_error_message(void) {
    if (forked) {
        return forked_message;
    }
    const char *message = message_key_made ? pthread_getspecific(message_key) : memory_message;
    return message == NULL ? "" : message;
}

const char *dsl_status_name(int32_t status) {
    static const char *const names[] = {"ok",
                                        "invalid argument",
                                        "not found",
                                        "corrupt",
                                        "unsupported",
                                        "device error",
                                        "out of memory",
                                        "cancelled",
                                        "input/output error",
                                        "buffer too small",
                                        "used after fork",
                                        "poisoned",
                                        "ABI mismatch",
                                        "internal error"};
    const int32_t count = (int32_t)(sizeof names / sizeof names[0]);
    return status >= 0 && status < count ? names[status] : "unknown status";
}

int32_t dsl_abi_version(void) { return DSL_ABI_VERSION; }

const char *dsl_version_string(void) { return DSL_VERSION_STRING; }
