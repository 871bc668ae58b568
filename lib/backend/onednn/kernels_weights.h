// Kernels on parameters and their gradients, all dense.

static inline double inv_std(float v, float eps) { return 1 / sqrt((double)v + (double)eps); }

// Σ a·b, in short runs of floats.
static double dot(const float *a, const float *b, int64_t n) {
    double total = 0;
    int64_t i = 0;
    while (i + LANES <= n) {
        const int64_t end = n - i < RUN * LANES ? n : i + RUN * LANES;
        vf s = {};
        for (; i + LANES <= end; i += LANES) s += *(const vfu *)(a + i) * *(const vfu *)(b + i);
        for (int l = 0; l < LANES; l++) total += (double)s[l];
    }
    for (; i < n; i++) total += (double)a[i] * (double)b[i];
    return total;
}

// n output channels of c weights each.
static void scale_weights(const dsl_kernel *k, const dsl_args *) {
    const float *w = (const float *)k->in[0], *gamma = (const float *)k->in[1], *v = (const float *)k->in[2];
    float *y = (float *)k->out[0];
    const int64_t per = k->c;
#pragma omp parallel for schedule(static)
    for (int r = 0; r < k->n; r++) {
        const float s = (float)((double)gamma[r] * inv_std(v[r], k->eps));
        for (int64_t i = r * per; i < (r + 1) * per; i++) y[i] = w[i] * s;
    }
}

static void scale_weights_grad(const dsl_kernel *k, const dsl_args *) {
    const float *w = (const float *)k->in[0], *gamma = (const float *)k->in[1], *v = (const float *)k->in[2];
    const float *g = (const float *)k->in[3];
    float *dw = (float *)k->out[0], *dgamma = (float *)k->out[1];
    const int64_t per = k->c;
#pragma omp parallel for schedule(static)
    for (int r = 0; r < k->n; r++) {
        const double inv = inv_std(v[r], k->eps);
        if (dgamma) dgamma[r] = (float)(dot(g + r * per, w + r * per, per) * inv);
        const float s = (float)((double)gamma[r] * inv);
        if (dw)
            for (int64_t i = r * per; i < (r + 1) * per; i++) dw[i] = g[i] * s;
    }
}

static void shift_bias(const dsl_kernel *k, const dsl_args *) {
    const float *gamma = (const float *)k->in[0], *beta = (const float *)k->in[1];
    const float *m = (const float *)k->in[2], *v = (const float *)k->in[3];
    for (int c = 0; c < k->c; c++)
        ((float *)k->out[0])[c] = (float)((double)beta[c] - (double)m[c] * (double)gamma[c] * inv_std(v[c], k->eps));
}

static void shift_bias_grad(const dsl_kernel *k, const dsl_args *) {
    const float *m = (const float *)k->in[1], *v = (const float *)k->in[2], *g = (const float *)k->in[3];
    for (int c = 0; c < k->c; c++) ((float *)k->out[0])[c] = (float)(-(double)m[c] * (double)g[c] * inv_std(v[c], k->eps));
}

// out[c] = Σ over the n rows of a matrix.
static void column_sum(const dsl_kernel *k, const dsl_args *) {
    const float *m = (const float *)k->in[0];
#pragma omp parallel for schedule(static)
    for (int c = 0; c < k->c; c++) {
        double s = 0;
        for (int64_t r = 0; r < k->n; r++) s += (double)m[r * k->c + c];
        ((float *)k->out[0])[c] = (float)s;
    }
}

// Every row of an n by c matrix becomes in[0].
static void fill_rows(const dsl_kernel *k, const dsl_args *) {
    for (int64_t r = 0; r < k->n; r++) memcpy((float *)k->out[0] + r * k->c, k->in[0], sizeof(float) * (size_t)k->c);
}

struct adam_args {
    float rate, decay, beta1, keep1, beta2, keep2, root, eps; // rate = lr/(1−β₁ᵗ), keep = 1−β, root = 1/√(1−β₂ᵗ)
};

static adam_args adam_at(const dsl_args *a, double lr, int64_t step) {
    return {(float)(lr / (1 - pow(a->beta1, (double)step))), (float)a->weight_decay, (float)a->beta1, (float)(1 - a->beta1),
            (float)a->beta2, (float)(1 - a->beta2), (float)(1 / sqrt(1 - pow(a->beta2, (double)step))), (float)a->adam_eps};
}

static inline void adam_span(const adam_args &a, const float *g, float *w, float *m, float *v, int64_t n) {
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float gi = g[i] + a.decay * w[i];
        m[i] = a.beta1 * m[i] + a.keep1 * gi;
        v[i] = a.beta2 * v[i] + a.keep2 * gi * gi;
        w[i] -= a.rate * m[i] / (sqrtf(v[i]) * a.root + a.eps);
    }
}

static void adam(const dsl_kernel *k, const dsl_args *a) {
    const float *g = (const float *)k->in[0];
    float *w = (float *)const_cast<void *>(k->in[1]), *m = (float *)const_cast<void *>(k->in[2]);
    float *v = (float *)const_cast<void *>(k->in[3]);
    if (k->flags & DSL_PER_ROW_FLAG) {
        const uint8_t *rows = (const uint8_t *)k->in[4];
        int32_t *count = (int32_t *)const_cast<void *>(k->in[5]);
#pragma omp parallel for schedule(static)
        for (int r = 0; r < k->n; r++) {
            if (!rows[r]) continue;
            const int64_t at = (int64_t)r * k->c;
            adam_span(adam_at(a, a->row_lr, ++count[r]), g + at, w + at, m + at, v + at, k->c);
        }
        return;
    }
    const adam_args all = adam_at(a, a->lr, a->step);
#pragma omp parallel
    {
        range r = share(k->count);
        adam_span(all, g + r.from, w + r.from, m + r.from, v + r.from, r.to - r.from);
    }
}
