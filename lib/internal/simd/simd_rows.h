// Rows of floats in double precision, read once from memory. Lanes are components: lane l sums the components l, l + LANES, ...

// The products of R rows with C centres. Each is summed alike, whatever R and C are. The next R rows can be fetched meanwhile: processors do
// not do so by themselves where a row ends with its page.
template <int R, int C, bool FETCH> static inline void wide_tile(const float *const *row, int64_t dim, const double *centres, double *out, int64_t stride) {
    vd sum[R][C] = {};
    int64_t c = 0;
    for (; c + LANES <= dim; c += LANES) {
        vd x[R];
        for (int r = 0; r < R; r++) {
            x[r] = wide(row[r] + c);
            if (FETCH) __builtin_prefetch(row[r] + R * dim + c);
        }
        for (int k = 0; k < C; k++) {
            vd y = wide(centres + k * dim + c);
            for (int r = 0; r < R; r++) sum[r][k] = fma(x[r], y, sum[r][k]);
        }
    }
    if (c < dim)
        for (int k = 0; k < C; k++) {
            vd y = wide_some(centres + k * dim + c, dim - c);
            for (int r = 0; r < R; r++) sum[r][k] = fma(wide_some(row[r] + c, dim - c), y, sum[r][k]);
        }
    for (int r = 0; r < R; r++)
        for (int k = 0; k < C; k++) out[r * stride + k] = sum_lanes(sum[r][k]);
}

// As many centres as come in groups of C.
template <int R, int C> static inline int64_t wide_group(const float *const *row, int64_t dim, const double *centres, int64_t from, int64_t k, double *out) {
    for (; from + C <= k; from += C) wide_tile<R, C, false>(row, dim, centres + from * dim, out + from, k);
    return from;
}

template <int R> static inline void wide_rows(const float *const *row, int64_t dim, const double *centres, int64_t k, double *out) {
    int64_t from = 0;
    if (k >= 4) wide_tile<R, 4, true>(row, dim, centres, out, k), from = 4;
    from = wide_group<R, 4>(row, dim, centres, from, k, out);
    from = wide_group<R, 2>(row, dim, centres, from, k, out);
    wide_group<R, 1>(row, dim, centres, from, k, out);
}

static void wide_dots(const float *rows, const int32_t *index, int64_t m, int64_t dim, const double *centres, int64_t k, double *out) {
    constexpr int R = TILE_ROWS * TILE_VECTORS / 4; // the sums of R rows with 4 centres fill the registers
    auto at = [=](int64_t i) { return rows + (index ? index[i] : i) * dim; };
    int64_t i = 0;
    for (; i + R <= m; i += R) {
        const float *row[R];
        for (int r = 0; r < R; r++) row[r] = at(i + r);
        wide_rows<R>(row, dim, centres, k, out + i * k);
    }
    for (; i < m; i++) {
        const float *row = at(i);
        wide_rows<1>(&row, dim, centres, k, out + i * k);
    }
}

template <class T> static inline void squares(const T *rows, int64_t m, int64_t dim, double *out) {
    for (int64_t i = 0; i < m; i++, rows += dim) {
        vd sum = {};
        int64_t c = 0;
        for (; c + LANES <= dim; c += LANES) sum = fma(wide(rows + c), wide(rows + c), sum);
        if (c < dim) sum = fma(wide_some(rows + c, dim - c), wide_some(rows + c, dim - c), sum);
        out[i] = sum_lanes(sum);
    }
}

static void squares_of_floats(const float *rows, int64_t m, int64_t dim, double *out) { squares(rows, m, dim, out); }
static void squares_of_doubles(const double *rows, int64_t m, int64_t dim, double *out) { squares(rows, m, dim, out); }

static void add_rows(const float *rows, int64_t m, int64_t dim, int64_t columns, const int32_t *to, double *sums) {
    for (int64_t i = 0; i < m; i++, rows += dim) {
        double *sum = sums + to[i] * dim;
        int64_t c = 0;
        for (; c + LANES <= columns; c += LANES) *(vd *)(sum + c) = wide(sum + c) + wide(rows + c);
        for (; c < columns; c++) sum[c] += (double)rows[c];
    }
}
