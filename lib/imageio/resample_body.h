// Both passes for one instruction set. Included by resample_<isa>.c, which says how many rows a vector holds (DSL_ROWS,
// four int32 each), for what the functions are compiled (DSL_TARGET), and what differs:
//
//   pixels load(const uint8_t *src, const int64_t *offset)   16 bytes of each row
//   pairs pair(pixels p, j)                                  pixels 2j and 2j + 1 of each row, j 0 or 1
//   ints add_products(ints sum, pairs p, int32_t w)          sum + p0·(w & 0xffff) + p1·(w >> 16) for each channel
//   void store(uint8_t *dst, const int64_t *offset, const ints *v)
//       four pixels of each row, above 255 made 255, and DSL_OUT_OVER bytes more

enum { LANES = 4 * DSL_ROWS, BLOCK = 4 };

DSL_TARGET static inline ints half(void) { return (ints){0} + (1 << (DSL_FIXED_BITS - 1)); }

// One output pixel of each row, in 0 to 256: rounded weights can sum to a hair above one.
DSL_TARGET static inline ints pixel(const uint8_t *src, const int64_t *row, const int32_t *w, int64_t stride) {
    ints low = half(), high = {0};
    for (; stride >= 4; stride -= 4, w += 4, src += 12) {
        pixels p = load(src, row);
        low = add_products(low, pair(p, 0), w[0]);
        high = add_products(high, pair(p, 0), w[1]);
        low = add_products(low, pair(p, 1), w[2]);
        high = add_products(high, pair(p, 1), w[3]);
    }
    if (stride > 0) {
        pixels p = load(src, row);
        low = add_products(low, pair(p, 0), w[0]);
        high = add_products(high, pair(p, 0), w[1]);
    }
    return (low + (high << DSL_LOW_BITS)) >> DSL_FIXED_BITS;
}

// The last row is done again where fewer are left than a vector holds.
DSL_TARGET static void horizontal(const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
                                  const int32_t *halves, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride) {
    for (int64_t y = 0; y < rows; y += DSL_ROWS) {
        int64_t from[DSL_ROWS], to[DSL_ROWS];
        for (int r = 0; r < DSL_ROWS; r++) {
            int64_t row = y + r < rows ? y + r : rows - 1;
            from[r] = row * src_stride;
            to[r] = row * dst_stride;
        }
        for (int64_t o = 0; o < n; o += DSL_OUT_GROUP) {
            ints v[DSL_OUT_GROUP];
            for (int i = 0; i < DSL_OUT_GROUP; i++)
                v[i] = pixel(src + 3 * (int64_t)first[o + i], from, halves + (o + i) * stride, stride);
            store(dst + 3 * o, to, v);
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

// Leaves the fixed point; rounded weights can sum to a hair above one, whose level is 255 too.
DSL_TARGET static inline ints level(ints sum) {
    sum >>= DSL_FIXED_BITS;
    return (sum | (sum > 255)) & 255;
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
