// The start of a network in integers, DSL_STEM: see RATIONALE. Rows of the convolution stay in the cache until their maximum is taken; the result does not depend
// on the number of threads.

// sum[l] + x[2l]·w[2l] + x[2l+1]·w[2l+1], of 16-bit numbers.
static inline vi add_products(vi sum, vi x, vi w) {
#ifdef DSL_PRODUCTS
    return sum + DSL_PRODUCTS(x, w);
#else
    int16_t a[2 * LANES], b[2 * LANES];
    memcpy(a, &x, sizeof a), memcpy(b, &w, sizeof b);
    for (int l = 0; l < LANES; l++) sum[l] += a[2 * l] * b[2 * l] + a[2 * l + 1] * b[2 * l + 1];
    return sum;
#endif
}

// A row of pixels; outside the image all is 0.
static void stem_pixels(const dsl_kernel *k, const dsl_stem_rows &r, const int16_t *means, const uint8_t *px, int h, int16_t *to) {
    memset(to, 0, 2 * (size_t)r.pixels);
    if (h < 0 || h >= k->h) return;
    px += (int64_t)h * k->w * 3, to += 3 * k->pad;
    for (int i = 0; i < 3 * k->w; i++) to[i] = (int16_t)(DSL_STEM_LEVELS * px[i] - means[i]);
}

// DSL_STEM_COLUMNS columns of a row of the convolution: VECTORS·LANES channels of each.
constexpr int VECTORS = LANES == 16 ? 4 : 2;

static void stem_columns(const dsl_kernel *k, const dsl_stem_rows &r, const int16_t *px, const int32_t *weights, const float *scale, const float *shift, uint8_t *y) {
    const int pairs = dsl_stem_pairs(k), next = 3 * k->stride;
    vi sum[DSL_STEM_COLUMNS][VECTORS] = {};
    for (int row = 0; row < k->kernel; row++, px += r.pixels)
        for (int j = 0; j < pairs; j++, weights += DSL_STEM_CHANNELS) {
            vi w[VECTORS];
            for (int v = 0; v < VECTORS; v++) w[v] = *(const vi *)(weights + v * LANES);
            for (int p = 0; p < DSL_STEM_COLUMNS; p++) {
                int32_t pair;
                memcpy(&pair, px + p * next + 2 * j, sizeof pair);
                for (int v = 0; v < VECTORS; v++) sum[p][v] = add_products(sum[p][v], vi{} + pair, w[v]);
            }
        }
    for (int p = 0; p < DSL_STEM_COLUMNS; p++)
        for (int v = 0; v < VECTORS; v++) {
            vf f = __builtin_convertvector(sum[p][v], vf) * *(const vf *)(scale + v * LANES) + *(const vf *)(shift + v * LANES);
            f = zero_below(f);
            f = f < 255.f ? f : vf{} + 255.f;
            store_bytes<LANES>(y + (int64_t)p * k->c + v * LANES, __builtin_convertvector(f + 0.5f, vi));
        }
}

// A row of the convolution, with a column of zeros on both sides.
static void stem_row(const dsl_kernel *k, const dsl_stem_rows &r, const int16_t *px, uint8_t *y) {
    const int block = DSL_STEM_CHANNELS, kernel = k->kernel * dsl_stem_pairs(k) * block;
    memset(y, 0, (size_t)k->c);
    for (int64_t x = 0; x < r.columns; x += DSL_STEM_COLUMNS)
        for (int c = 0; c < k->c; c += VECTORS * LANES)
            stem_columns(k, r, px + x * 3 * k->stride, (const int32_t *)k->in[1] + (int64_t)(c / block) * kernel + c % block, (const float *)k->in[2] + c,
                         (const float *)k->in[3] + c, y + (x + 1) * k->c + c);
    memset(y + (int64_t)(k->ow + 1) * k->c, 0, (size_t)k->c);
}

static inline uint8_t larger(uint8_t a, uint8_t b) { return a > b ? a : b; }

// A row of maxima, of three rows of the convolution. tall is memory for a row.
static void stem_maxima(const dsl_kernel *k, const uint8_t *const rows[3], uint8_t *tall, uint8_t *y) {
    const int64_t c = k->c, n = (k->ow + 2) * c;
    for (int64_t i = 0; i < n; i++) tall[i] = larger(larger(rows[0][i], rows[1][i]), rows[2][i]);
    for (int x = 0; x < (k->ow + 1) / 2; x++, tall += 2 * c, y += c)
        for (int64_t i = 0; i < c; i++) y[i] = larger(larger(tall[i], tall[c + i]), tall[2 * c + i]);
}

// The maxima of rows from to to of an image.
static void stem_band(const dsl_kernel *k, const dsl_stem_rows &r, const uint8_t *px, int from, int to, char *work, uint8_t *y) {
    int16_t *means = (int16_t *)work, *pixels = means + r.pixels;
    uint8_t *ring = (uint8_t *)work + r.band, *tall = (uint8_t *)work + r.maxima;
    for (int i = 0; i < 3 * k->w; i++) means[i] = (int16_t)lrintf(255 * DSL_STEM_LEVELS * k->mean[i % 3]);
    const int first = 2 * from - 1, last = 2 * to - 1; // rows of the convolution, one of them above the image perhaps and one below
    const int top = first * k->stride - k->pad, bottom = last * k->stride - k->pad + k->kernel;
    for (int h = top; h < bottom; h++) stem_pixels(k, r, means, px, h, pixels + (h - top) * r.pixels);
    for (int row = first; row <= last; row++) {
        uint8_t *maps = ring + (row + 1) % 3 * r.maps;
        if (row < 0 || row >= k->oh)
            memset(maps, 0, (size_t)r.maps);
        else
            stem_row(k, r, pixels + (int64_t)(row - first) * k->stride * r.pixels, maps);
        if (row % 2 == 0 || row == first) continue;
        const uint8_t *const rows[3] = {ring, ring + r.maps, ring + 2 * r.maps};
        stem_maxima(k, rows, tall, y + (int64_t)(row / 2) * ((k->ow + 1) / 2) * k->c);
    }
}

static void stem(const dsl_kernel *k, const dsl_args *) {
    const dsl_stem_rows r = dsl_stem_layout(k);
    const int height = (k->oh + 1) / 2, width = (k->ow + 1) / 2, threads = omp_get_max_threads();
    int bands = (height + DSL_STEM_BAND - 1) / DSL_STEM_BAND;
    if (k->n < threads) bands = (bands + threads - 1) / threads * threads; // so that all have as much to do
    if (bands > height) bands = height;
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < k->n; n++)
        for (int b = 0; b < bands; b++) {
            stem_band(k, r, (const uint8_t *)k->in[0] + (int64_t)n * k->h * k->w * 3, height * b / bands, height * (b + 1) / bands, (char *)k->work + omp_get_thread_num() * r.bytes,
                      (uint8_t *)k->out[0] + (int64_t)n * height * width * k->c);
        }
}
