// BatchNorm over the statistics of the batch. The work of one plane (one image, one block of channels) is a unit: its statistics are
// combined over the images in their order.

// Mean and sum of squared deviations of L channels over count samples: Chan, Golub and LeVeque's pairwise update.
template <int L> struct moments {
    double count, mean[L], m2[L];
    void add(double n, const double *mu, const double *q) {
        double total = count + n;
        for (int l = 0; l < L; l++) {
            double d = mu[l] - mean[l];
            mean[l] += d * n / total;
            m2[l] += q[l] + d * d * count * n / total;
        }
        count = total;
    }
};

// The moments of a run of vectors: squares are taken around a mean already known to float precision.
template <int L> static void run_moments(const typename types<L>::F *p, int n, double *mu, double *q) {
    typedef typename types<L>::F V;
    V s0 = {}, s1 = {};
    int i = 0;
    for (; i + 2 <= n; i += 2) s0 += p[i], s1 += p[i + 1];
    if (i < n) s0 += p[i];
    V mean = (s0 + s1) * (1.0f / (float)n);
    V d0 = {}, q0 = {}, q1 = {}, d1 = {};
    for (i = 0; i + 2 <= n; i += 2) {
        V a = p[i] - mean, b = p[i + 1] - mean;
        d0 += a, d1 += b, q0 += a * a, q1 += b * b;
    }
    if (i < n) {
        V a = p[i] - mean;
        d0 += a, q0 += a * a;
    }
    for (int l = 0; l < L; l++) mu[l] = 0, q[l] = 0;
    double e[L] = {};
    add_lanes(e, d0 + d1), add_lanes(mu, mean), add_lanes(q, q0 + q1);
    for (int l = 0; l < L; l++) mu[l] += e[l] / n, q[l] -= e[l] * e[l] / n;
}

template <int L> static void plane_moments(const float *x, int64_t hw, double *work) {
    typedef typename types<L>::F V;
    moments<L> m = {};
    double mu[L], q[L];
    for (int64_t i = 0; i < hw; i += RUN) {
        int n = hw - i < RUN ? (int)(hw - i) : RUN;
        run_moments<L>((const V *)x + i, n, mu, q);
        m.add(n, mu, q);
    }
    memcpy(work, m.mean, sizeof m.mean);
    memcpy(work + L, m.m2, sizeof m.m2);
}

// y = x·scale + shift (+ r)(ReLU) on one plane.
template <int L>
static void plane_affine(const dsl_kernel *k, int64_t at, int64_t hw, typename types<L>::F mean, typename types<L>::F scale,
                         typename types<L>::F shift) {
    typedef typename types<L>::F V;
    const V *x = (const V *)((const float *)k->in[0] + at), *r = (const V *)((const float *)k->in[3] + at);
    V *y = (V *)((float *)k->out[0] + at);
    const bool res = k->flags & DSL_RESIDUAL_FLAG, cut = k->flags & DSL_RELU_FLAG;
    if (res && cut)
        for (int64_t i = 0; i < hw; i++) y[i] = zero_below((x[i] - mean) * scale + shift + r[i]);
    else if (res)
        for (int64_t i = 0; i < hw; i++) y[i] = (x[i] - mean) * scale + shift + r[i];
    else if (cut)
        for (int64_t i = 0; i < hw; i++) y[i] = zero_below((x[i] - mean) * scale + shift);
    else
        for (int64_t i = 0; i < hw; i++) y[i] = (x[i] - mean) * scale + shift;
}

// One block of channels: combines the planes' moments, writes the statistics, and leaves mean and 1/√(σ²+ε) behind the planes.
template <int L> static void combine_moments(const dsl_kernel *k, int blocks, int b, double *stat) {
    const int64_t hw = (int64_t)k->h * k->w;
    moments<L> m = {};
    for (int n = 0; n < k->n; n++) {
        const double *p = k->work + ((int64_t)n * blocks + b) * 2 * L;
        m.add((double)hw, p, p + L);
    }
    for (int l = 0; l < valid(k->c, b, L); l++) {
        double var = m.m2[l] / m.count;
        if (k->out[1]) ((float *)k->out[1])[b * L + l] = (float)m.mean[l];
        if (k->out[2]) ((float *)k->out[2])[b * L + l] = (float)var;
        m.m2[l] = 1 / sqrt(var + (double)k->eps);
    }
    memcpy(stat, m.mean, sizeof m.mean);
    memcpy(stat + L, m.m2, sizeof m.m2);
}

template <int L> static void batch_norm_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    const int64_t hw = (int64_t)k->h * k->w;
    const int blocks = (k->c + L - 1) / L, planes = k->n * blocks;
    const float *x = (const float *)k->in[0], *gamma = (const float *)k->in[1], *beta = (const float *)k->in[2];
    double *stats = k->work + (int64_t)planes * 2 * L;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int p = 0; p < planes; p++) plane_moments<L>(x + p * hw * L, hw, k->work + (int64_t)p * 2 * L);
#pragma omp for schedule(static)
        for (int b = 0; b < blocks; b++) combine_moments<L>(k, blocks, b, stats + (int64_t)b * 2 * L);
        const int wanted = k->out[0] ? planes : 0; // calibration reads the statistics only
#pragma omp for schedule(static)
        for (int p = 0; p < wanted; p++) {
            const int b = p % blocks, have = valid(k->c, b, L);
            const double *st = stats + (int64_t)b * 2 * L;
            float mean[L], inv[L];
            for (int l = 0; l < L; l++) mean[l] = (float)st[l], inv[l] = (float)st[L + l];
            V g = load_some<V>(gamma + b * L, have), s = load_some<V>(inv, have);
            plane_affine<L>(k, p * hw * L, hw, load_some<V>(mean, L), g * s, load_some<V>(beta + b * L, have));
        }
    }
}

// Σ g and Σ g·(x−μ) of one plane, where g is dy or, with a ReLU, dy where y > 0.
template <int L, bool MASK>
static void plane_grad_sums(const dsl_kernel *k, int64_t at, int64_t hw, typename types<L>::F mean, double *sums) {
    typedef typename types<L>::F V;
    const V *x = (const V *)((const float *)k->in[0] + at), *dy = (const V *)((const float *)k->in[4] + at);
    const V *y = (const V *)((const float *)k->in[5] + at);
    for (int l = 0; l < 2 * L; l++) sums[l] = 0;
    for (int64_t i = 0; i < hw; i += RUN) {
        const int64_t end = hw - i < RUN ? hw : i + RUN;
        V s = {}, t = {};
        for (int64_t j = i; j < end; j++) {
            V g = MASK ? where_positive(y[j], dy[j]) : dy[j];
            s += g, t += g * (x[j] - mean);
        }
        add_lanes(sums, s), add_lanes(sums + L, t);
    }
}

// dx = γ·s·(g − Σg/n − (x−μ)·s²·Σ(g·(x−μ))/n) on one plane, as a·g + b·(x−μ) + c.
template <int L, bool MASK>
static void plane_grad(const dsl_kernel *k, int64_t at, int64_t hw, typename types<L>::F mean, typename types<L>::F a,
                       typename types<L>::F b, typename types<L>::F c) {
    typedef typename types<L>::F V;
    const V *x = (const V *)((const float *)k->in[0] + at), *dy = (const V *)((const float *)k->in[4] + at);
    const V *y = (const V *)((const float *)k->in[5] + at);
    V *dx = (V *)((float *)k->out[0] + at);
    for (int64_t i = 0; i < hw; i++) {
        V g = MASK ? where_positive(y[i], dy[i]) : dy[i];
        dx[i] = a * g + (b * (x[i] - mean) + c);
    }
}

// One block of channels: dγ, dβ, and the three coefficients of dx.
template <int L> static void combine_grads(const dsl_kernel *k, int blocks, int b, double *coef) {
    const float *var = (const float *)k->in[2], *gamma = (const float *)k->in[3];
    const double count = (double)k->n * k->h * k->w;
    for (int l = 0; l < 3 * L; l++) coef[l] = 0;
    for (int l = 0; l < valid(k->c, b, L); l++) {
        double sum = 0, dot = 0;
        for (int n = 0; n < k->n; n++) {
            const double *p = k->work + ((int64_t)n * blocks + b) * 2 * L;
            sum += p[l], dot += p[L + l];
        }
        const int ch = b * L + l;
        const double s = 1 / sqrt((double)var[ch] + (double)k->eps), a = (double)gamma[ch] * s;
        if (k->out[1]) ((float *)k->out[1])[ch] = (float)(dot * s);
        if (k->out[2]) ((float *)k->out[2])[ch] = (float)sum;
        coef[l] = a, coef[L + l] = -a * s * s * dot / count, coef[2 * L + l] = -a * sum / count;
    }
}

template <int L> static typename types<L>::F vector_of(const double *p) {
    float f[L];
    for (int l = 0; l < L; l++) f[l] = (float)p[l];
    return load_some<typename types<L>::F>(f, L);
}

template <int L> static void batch_norm_grad_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    const int64_t hw = (int64_t)k->h * k->w;
    const int blocks = (k->c + L - 1) / L, planes = k->n * blocks;
    const float *mean = (const float *)k->in[1];
    const bool mask = k->flags & DSL_RELU_FLAG;
    double *coefs = k->work + (int64_t)planes * 2 * L;
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int p = 0; p < planes; p++) {
            V mu = load_some<V>(mean + p % blocks * L, valid(k->c, p % blocks, L));
            (mask ? plane_grad_sums<L, true> : plane_grad_sums<L, false>)(k, p * hw * L, hw, mu, k->work + (int64_t)p * 2 * L);
        }
#pragma omp for schedule(static)
        for (int b = 0; b < blocks; b++) combine_grads<L>(k, blocks, b, coefs + (int64_t)b * 3 * L);
#pragma omp for schedule(static)
        for (int p = 0; p < planes; p++) {
            if (!k->out[0]) continue;
            const int b = p % blocks;
            const double *c = coefs + (int64_t)b * 3 * L;
            V mu = load_some<V>(mean + b * L, valid(k->c, b, L));
            (mask ? plane_grad<L, true> : plane_grad<L, false>)(k, p * hw * L, hw, mu, vector_of<L>(c), vector_of<L>(c + L),
                                                                vector_of<L>(c + 2 * L));
        }
    }
}

static void update_running(const dsl_kernel *k, const dsl_args *a) {
    const float *mean = (const float *)k->in[0], *var = (const float *)k->in[1];
    float *run_mean = (float *)const_cast<void *>(k->in[2]), *run_var = (float *)const_cast<void *>(k->in[3]);
    const double rho = a->bn_momentum, unbias = k->samples > 1 ? (double)k->samples / (double)(k->samples - 1) : 1;
    for (int c = 0; c < k->c; c++) {
        run_mean[c] = (float)((1 - rho) * (double)run_mean[c] + rho * (double)mean[c]);
        run_var[c] = (float)((1 - rho) * (double)run_var[c] + rho * (double)var[c] * unbias);
    }
}
