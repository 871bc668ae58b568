// The passes for every processor: one row at a time, whatever the vectors are.
#include <string.h>

#include "resample.h"

#define DSL_ISA base
#define DSL_ROWS 1
#define DSL_TARGET

typedef int32_t ints __attribute__((vector_size(16)));
typedef const uint8_t *pixels, *pairs;

static inline pixels load(const uint8_t *src, const int64_t *offset) { return src + *offset; }

static inline pairs pair(pixels p, int j) { return p + 6 * j; }

static inline ints add_products(ints sum, pairs p, int32_t w) {
    return sum + (ints){p[0], p[1], p[2], 0} * (w & 0xffff) + (ints){p[3], p[4], p[5], 0} * (w >> 16);
}

static inline void store(uint8_t *dst, const int64_t *offset, const ints *v) {
    for (int i = 0; i < DSL_OUT_GROUP; i++)
        for (int c = 0; c < 3; c++)
            dst[*offset + 3 * i + c] = (uint8_t)(v[i][c] < 255 ? v[i][c] : 255);
}

#include "resample_body.h"
