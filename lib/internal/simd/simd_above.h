// Scores of rows with a few queries, of which only those above a bound are kept: they are compared in the registers that they were summed in.
// Lanes are queries, so that rows are taken as they lie.

template <class T> static void turn_rows(const float *rows, int64_t n, int64_t dim, T *turned) {
    constexpr int lanes = vector<T>::lanes;
    for (int64_t i = 0; i < n; i += lanes)
        for (int64_t c = 0; c < dim; c++)
            for (int64_t l = i; l < i + lanes; l++) *turned++ = l < n ? (T)rows[l * dim + c] : 0;
}

constexpr int CACHE_LINE = 64 / sizeof(float);

// The hits of up to TILE_ROWS rows with V vectors of queries. A product is summed from the first component to the last.
template <class T, class HIT, int V>
static inline int64_t above_tile(const float *rows, int64_t have, int64_t dim, const T *turned, const T *less, const T *asked, HIT hit, HIT *hits) {
    typedef typename vector<T>::type vt;
    constexpr int lanes = vector<T>::lanes;
    const float *row[TILE_ROWS];
    vt sum[TILE_ROWS][V];
    for (int r = 0; r < TILE_ROWS; r++) {
        row[r] = rows + least(r, have - 1) * dim;
        for (int v = 0; v < V; v++) sum[r][v] = splat((T)0);
    }
    for (int64_t c = 0; c < dim; c++) {
        if (c % CACHE_LINE == 0)
            for (int r = 0; r < TILE_ROWS; r++) __builtin_prefetch(row[r] + TILE_ROWS * dim + c); // the next rows, too few numbers each for the processor to foresee
        for (int r = 0; r < TILE_ROWS; r++) {
            vt x = splat((T)row[r][c]);
            for (int v = 0; v < V; v++) sum[r][v] = fma(x, *(const vt *)(turned + (v * dim + c) * lanes), sum[r][v]);
        }
    }
    int64_t n = 0;
    for (int r = 0; r < TILE_ROWS && r < have; r++)
        for (int v = 0; v < V; v++) {
            vt score = less ? sum[r][v] - less[r] : sum[r][v];
            for (uint32_t over = greater(score, *(const vt *)(asked + v * lanes)); over; over &= over - 1) {
                int l = __builtin_ctz(over);
                hits[n++] = {score[l], hit.query + v * lanes + l, hit.row + r};
            }
        }
    return n;
}

template <class T, class HIT>
static inline int64_t above(const float *rows, int64_t m, int64_t dim, const T *turned, int64_t vectors, const T *less, const T *asked, HIT *hits) {
    constexpr int lanes = vector<T>::lanes;
    int64_t n = 0;
    for (int64_t v = 0; v < vectors; v += TILE_VECTORS, turned += TILE_VECTORS * lanes * dim) { // which stay in the first-level cache, if they fit
        auto tile = vectors - v == 1 ? above_tile<T, HIT, 1> : vectors - v == 2 ? above_tile<T, HIT, 2> : above_tile<T, HIT, TILE_VECTORS>;
        for (int64_t i = 0; i < m; i += TILE_ROWS) {
            HIT first = {0, (int32_t)(v * lanes), (int32_t)i};
            n += tile(rows + i * dim, m - i, dim, turned, less ? less + i : less, asked + v * lanes, first, hits + n);
        }
    }
    return n;
}

static void turn32(const float *rows, int64_t n, int64_t dim, float *turned) { turn_rows(rows, n, dim, turned); }
static void turn64(const float *rows, int64_t n, int64_t dim, double *turned) { turn_rows(rows, n, dim, turned); }

static int64_t above32(const float *rows, int64_t m, int64_t dim, const float *turned, int64_t vectors, const float *less, const float *asked,
                       dsl_hit32 *hits) {
    flush_subnormals flush; // they can take a hundred times as long; products in float64 do not become subnormal
    return above(rows, m, dim, turned, vectors, less, asked, hits);
}
static int64_t above64(const float *rows, int64_t m, int64_t dim, const double *turned, int64_t vectors, const double *less, const double *asked,
                       dsl_hit64 *hits) {
    return above(rows, m, dim, turned, vectors, less, asked, hits);
}
