// Inner products in the order of the components. Lanes are rows of b, which are turned into panels of [depth][PANEL] for that.

constexpr int PANEL = TILE_VECTORS * LANES;
constexpr int DEPTH = 128; // components at a time: the panel stays in the first-level cache

// Turns `width` rows of b; lanes without a row are zero.
static void turn(const double *b, int64_t width, int64_t dim, int64_t depth, double *panel) {
    for (int64_t c = 0; c < depth; c++, panel += PANEL) {
        for (int64_t l = 0; l < width; l++) panel[l] = b[l * dim + c];
        for (int64_t l = width; l < PANEL; l++) panel[l] = 0;
    }
}

// Adds the products of TILE_ROWS rows with a panel to out. Rows beyond `rows` repeat the last one and are not written.
static void dots_tile(const double *a, int64_t rows, int64_t dim, const double *panel, int64_t depth, bool fresh, double *out, int64_t stride,
                      int64_t width) {
    const double *row[TILE_ROWS];
    vd sum[TILE_ROWS][TILE_VECTORS];
    for (int r = 0; r < TILE_ROWS; r++) {
        int64_t at = least(r, rows - 1);
        row[r] = a + at * dim;
        double t[PANEL] = {};
        if (!fresh) memcpy(t, out + at * stride, sizeof(double) * (size_t)width);
        for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] = wide(t + v * LANES);
    }
    for (int64_t c = 0; c < depth; c++, panel += PANEL)
        for (int r = 0; r < TILE_ROWS; r++)
            for (int v = 0; v < TILE_VECTORS; v++) sum[r][v] += row[r][c] * wide(panel + v * LANES);
    for (int r = 0; r < TILE_ROWS && r < rows; r++) memcpy(out + r * stride, sum[r], sizeof(double) * (size_t)width);
}

static void dots(const double *a, int64_t m, const double *b, int64_t n, int64_t dim, double *out, int64_t stride) {
    alignas(64) double panel[DEPTH * PANEL];
    for (int64_t j = 0; j < n; j += PANEL) {
        int64_t width = least(PANEL, n - j);
        for (int64_t c = 0; c < dim; c += DEPTH) {
            int64_t depth = least(DEPTH, dim - c);
            turn(b + j * dim + c, width, dim, depth, panel);
            for (int64_t i = 0; i < m; i += TILE_ROWS)
                dots_tile(a + i * dim + c, least(TILE_ROWS, m - i), dim, panel, depth, c == 0, out + i * stride + j, stride, width);
        }
    }
}
