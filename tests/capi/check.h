/* Checks for the C tests: each counts, prints what failed, and goes on. */
#ifndef DSL_CHECK_H
#define DSL_CHECK_H

#include <dsl.h>

#include <stdio.h>
#include <string.h>

static int checks, failures;

#define CHECK(condition)                                                         \
    do {                                                                         \
        checks++;                                                                \
        if (!(condition)) {                                                      \
            failures++;                                                          \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                        \
    } while (0)

/* The call returns want, and its message holds text. */
#define CHECK_STATUS(call, want, text)                                                                             \
    do {                                                                                                           \
        int32_t got_ = (call);                                                                                     \
        checks++;                                                                                                  \
        if (got_ != (want) || strstr(dsl_last_error_message(), (text)) == NULL) {                                  \
            failures++;                                                                                            \
            fprintf(stderr, "%s:%d: %s: got %d (%s) \"%s\", want %d and \"%s\"\n", __FILE__, __LINE__, #call,      \
                    (int)got_, dsl_status_name(got_), dsl_last_error_message(), (int)(want), (text));              \
        }                                                                                                          \
    } while (0)

#define CHECK_OK(call) CHECK_STATUS(call, DSL_STATUS_OK, "")

static int finish(void) {
    printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 ? 0 : 1;
}

#endif
