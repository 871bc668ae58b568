// Kernels on flat memory. The output may be an operand's memory.

// Applies f(i) to whole vectors and g(i) to the floats of the tail.
template <class F, class G> static inline void flat(int64_t count, F f, G g) {
#pragma omp parallel
    {
        range r = share(count);
        int64_t i = r.from;
        for (; i + LANES <= r.to; i += LANES) f(i);
        for (; i < r.to; i++) g(i);
    }
}

static inline vf &at(float *p, int64_t i) { return *(vf *)(p + i); }
static inline const vf &at(const float *p, int64_t i) { return *(const vf *)(p + i); }

static void relu(const dsl_kernel *k, const dsl_args *) {
    const float *x = (const float *)k->in[0];
    float *y = (float *)k->out[0];
    flat(
        k->count, [=](int64_t i) { at(y, i) = zero_below(at(x, i)); }, [=](int64_t i) { y[i] = zero_below(x[i]); });
}

static void relu_grad(const dsl_kernel *k, const dsl_args *) {
    const float *y = (const float *)k->in[0], *a = (const float *)k->in[1], *b = (const float *)k->in[2];
    float *d = (float *)k->out[0];
    if (k->flags & DSL_RESIDUAL_FLAG)
        flat(
            k->count, [=](int64_t i) { at(d, i) = where_positive(at(y, i), at(a, i) + at(b, i)); },
            [=](int64_t i) { d[i] = where_positive(y[i], a[i] + b[i]); });
    else
        flat(
            k->count, [=](int64_t i) { at(d, i) = where_positive(at(y, i), at(a, i)); },
            [=](int64_t i) { d[i] = where_positive(y[i], a[i]); });
}

static void add(const dsl_kernel *k, const dsl_args *) {
    const float *a = (const float *)k->in[0], *b = (const float *)k->in[1];
    float *y = (float *)k->out[0];
    if (k->flags & DSL_RELU_FLAG)
        flat(
            k->count, [=](int64_t i) { at(y, i) = zero_below(at(a, i) + at(b, i)); },
            [=](int64_t i) { y[i] = zero_below(a[i] + b[i]); });
    else
        flat(
            k->count, [=](int64_t i) { at(y, i) = at(a, i) + at(b, i); }, [=](int64_t i) { y[i] = a[i] + b[i]; });
}

// Sets the padding of the last channel block to zero again.
static void clear_padding(const dsl_kernel *k, float *y) {
    int cb = (k->c + k->lanes - 1) / k->lanes, have = valid(k->c, cb - 1, k->lanes);
    int64_t hw = (int64_t)k->h * k->w;
    if (have == k->lanes) return;
#pragma omp parallel for schedule(static)
    for (int n = 0; n < k->n; n++) {
        float *p = y + ((int64_t)n * cb + cb - 1) * hw * k->lanes;
        for (int64_t i = 0; i < hw; i++)
            for (int l = have; l < k->lanes; l++) p[i * k->lanes + l] = 0;
    }
}

static void sigmoid(const dsl_kernel *k, const dsl_args *) {
    const float *x = (const float *)k->in[0];
    float *y = (float *)k->out[0];
#pragma omp parallel
    {
        range r = share(k->count);
        for (int64_t i = r.from; i < r.to; i++) y[i] = 1 / (1 + expf(-x[i]));
    }
    clear_padding(k, y);
}

static void sigmoid_grad(const dsl_kernel *k, const dsl_args *) {
    const float *y = (const float *)k->in[0], *dy = (const float *)k->in[1];
    float *d = (float *)k->out[0];
    flat(
        k->count, [=](int64_t i) { at(d, i) = at(dy, i) * at(y, i) * (1 - at(y, i)); },
        [=](int64_t i) { d[i] = dy[i] * y[i] * (1 - y[i]); });
}

// SplitMix64's finaliser, as in package rng.
static inline uint64_t mix64(uint64_t z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static void dropout(const dsl_kernel *k, const dsl_args *a) {
    const float *x = (const float *)k->in[0];
    float *y = (float *)k->out[0];
    const float scale = (float)(1 / (1 - (double)k->rate)), rate = k->rate;
    const uint64_t key = a->dropout_key;
#pragma omp parallel
    {
        range r = share(k->count);
        for (int64_t i = r.from; i < r.to; i++) {
            float draw = (float)(mix64(key + ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u) >> 40) * (1.0f / (1 << 24));
            y[i] = draw < rate ? 0 : x[i] * scale;
        }
    }
}

// u8 [n,h,w,3] to planes of float.
static void normalize(const dsl_kernel *k, const dsl_args *) {
    const uint8_t *px = (const uint8_t *)k->in[0];
    float *y = (float *)k->out[0];
    const int64_t hw = (int64_t)k->h * k->w;
    float scale[3], shift[3];
    for (int c = 0; c < 3; c++) {
        scale[c] = (float)(1 / (255 * (double)k->std[c]));
        shift[c] = (float)(-(double)k->mean[c] / (double)k->std[c]);
    }
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < k->n; n++)
        for (int h = 0; h < k->h; h++) {
            const uint8_t *row = px + ((int64_t)n * hw + (int64_t)h * k->w) * 3;
            float *dst = y + (int64_t)n * 3 * hw + (int64_t)h * k->w;
            for (int c = 0; c < 3; c++)
                for (int w = 0; w < k->w; w++) dst[c * hw + w] = (float)row[3 * w + c] * scale[c] + shift[c];
        }
}
