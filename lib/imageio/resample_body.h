// Both passes for one instruction set. Included by resample_<isa>.c, which says how many rows a vector holds (DSL_ROWS, 16 bytes or four
// int32 each), for what the functions are compiled (DSL_TARGET), and how pixels are loaded:
//
//   pixels load(const uint8_t *src, const int64_t *offset)   16 bytes of each row
//   ints pick(pixels p, j)                                   red, green and blue of pixel j of each row, j a constant below DSL_TAP_GROUP
//   void store(uint8_t *dst, const int64_t *offset, ints v)  a pixel of each row, and one byte more: the next pixel's first, or slack

enum { LANES = 4 * DSL_ROWS, BLOCK = 4 };

// Leaves the fixed point; rounded weights can sum to a hair above one, whose level is 255 too.
DSL_TARGET static inline ints level(ints sum) {
    sum >>= DSL_FIXED_BITS;
    return (sum | (sum > 255)) & 255;
}

DSL_TARGET static inline ints half(void) { return (ints){0} + (1 << (DSL_FIXED_BITS - 1)); }

// The last rows are done twice where fewer are left than a vector holds.
DSL_TARGET static void horizontal(const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
                                  const int32_t *weights, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride) {
    for (int64_t y = 0; y < rows; y += DSL_ROWS) {
        int64_t from[DSL_ROWS], to[DSL_ROWS];
        for (int r = 0; r < DSL_ROWS; r++) {
            int64_t row = y + r < rows ? y + r : rows - 1;
            from[r] = row * src_stride;
            to[r] = row * dst_stride;
        }
        for (int64_t o = 0; o < n; o++) {
            const uint8_t *at = src + 3 * (int64_t)first[o];
            const int32_t *w = weights + o * stride;
            ints sum = half();
            for (int64_t j = 0; j < stride; j += DSL_TAP_GROUP, w += DSL_TAP_GROUP, at += 3 * DSL_TAP_GROUP) {
                pixels p = load(at, from);
                sum += pick(p, 0) * w[0] + pick(p, 1) * w[1] + pick(p, 2) * w[2] + pick(p, 3) * w[3];
            }
            store(dst + 3 * o, to, level(sum));
        }
    }
}

DSL_TARGET static inline ints load_bytes(const uint8_t *p) {
    int32_t t[LANES];
    for (int l = 0; l < LANES; l++)
        t[l] = p[l];
    ints v;
    memcpy(&v, t, sizeof v);
    return v;
}

DSL_TARGET static inline void store_bytes(uint8_t *p, ints v) {
    int32_t t[LANES];
    memcpy(t, &v, sizeof v);
    for (int l = 0; l < LANES; l++)
        p[l] = (uint8_t)t[l];
}

// As many vectors of columns of one output row, which stay in registers.
DSL_TARGET static inline void columns(int vectors, const uint8_t *src, int64_t src_stride, int32_t count,
                                      const int32_t *w, uint8_t *dst) {
    ints sum[BLOCK];
    for (int v = 0; v < vectors; v++)
        sum[v] = half();
    for (int32_t j = 0; j < count; j++)
        for (int v = 0; v < vectors; v++)
            sum[v] += load_bytes(src + j * src_stride + v * LANES) * w[j];
    for (int v = 0; v < vectors; v++)
        store_bytes(dst + v * LANES, level(sum[v]));
}

DSL_TARGET static inline void output_row(const uint8_t *src, int64_t src_stride, int64_t n, int32_t count,
                                         const int32_t *w, uint8_t *dst) {
    int64_t i = 0;
    for (; i + BLOCK * LANES <= n; i += BLOCK * LANES)
        columns(BLOCK, src + i, src_stride, count, w, dst + i);
    for (; i + LANES <= n; i += LANES)
        columns(1, src + i, src_stride, count, w, dst + i);
    for (; i < n; i++) {
        int32_t sum = 1 << (DSL_FIXED_BITS - 1);
        for (int32_t j = 0; j < count; j++)
            sum += src[j * src_stride + i] * w[j];
        sum >>= DSL_FIXED_BITS;
        dst[i] = (uint8_t)(sum < 255 ? sum : 255);
    }
}

DSL_TARGET static void vertical(const uint8_t *src, int64_t src_stride, int64_t n, const int32_t *first,
                                const int32_t *count, const int32_t *weights, int64_t stride, int64_t rows,
                                uint8_t *dst) {
    for (int64_t o = 0; o < rows; o++)
        output_row(src + first[o] * src_stride, src_stride, n, count[o], weights + o * stride, dst + o * n);
}

#define DSL_JOIN(a, b) a##b
#define DSL_RESAMPLER(isa) DSL_JOIN(dsl_resampler_, isa)

const dsl_resampler DSL_RESAMPLER(DSL_ISA) = {horizontal, vertical};
