// The passes for every processor: one row at a time, whatever the vectors are.
#include <string.h>

#include "resample.h"

#define DSL_ISA base
#define DSL_ROWS 1
#define DSL_TARGET

typedef int32_t ints __attribute__((vector_size(16)));
typedef const uint8_t *pixels;

static inline pixels load(const uint8_t *src, const int64_t *offset) { return src + *offset; }

// The fourth byte read is the next pixel's; nobody looks at what it becomes.
static inline ints pick(pixels p, int j) { return (ints){p[3 * j], p[3 * j + 1], p[3 * j + 2], p[3 * j + 3]}; }

static inline void store(uint8_t *dst, const int64_t *offset, ints v) {
    for (int c = 0; c < 4; c++)
        dst[*offset + c] = (uint8_t)v[c];
}

#include "resample_body.h"
