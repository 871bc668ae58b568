// Pooling, with and without a gate, and sums over pixels.

template <int L> static void max_pool_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    typedef typename types<L>::I I;
    const int planes = k->n * ((k->c + L - 1) / L);
    const int64_t hw = (int64_t)k->h * k->w, ohw = (int64_t)k->oh * k->ow;
#pragma omp parallel for collapse(2) schedule(static)
    for (int p = 0; p < planes; p++)
        for (int oh = 0; oh < k->oh; oh++) {
            const V *x = (const V *)k->in[0] + p * hw;
            V *y = k->out[0] ? (V *)k->out[0] + p * ohw + (int64_t)oh * k->ow : nullptr;
            uint8_t *tap = k->out[1] ? (uint8_t *)k->out[1] + (p * ohw + (int64_t)oh * k->ow) * L : nullptr;
            const int top = oh * k->stride - k->pad, r0 = top < 0 ? -top : 0, r1 = k->h - top < k->kernel ? k->h - top : k->kernel;
            for (int ow = 0; ow < k->ow; ow++) {
                const int left = ow * k->stride - k->pad, s0 = left < 0 ? -left : 0;
                const int s1 = k->w - left < k->kernel ? k->w - left : k->kernel;
                V best = x[(int64_t)(top + r0) * k->w + left + s0];
                I place = I{} + (r0 * k->kernel + s0);
                for (int r = r0; r < r1; r++)
                    for (int s = s0; s < s1; s++) {
                        V v = x[(int64_t)(top + r) * k->w + left + s];
                        place = v > best ? I{} + (r * k->kernel + s) : place;
                        best = v > best ? v : best;
                    }
                if (y) y[ow] = best;
                if (tap) store_bytes<L>(tap + (int64_t)ow * L, place);
            }
        }
}

// Gathers: each input pixel adds the outputs whose window it is the maximum of, so that nothing is cleared and no two threads meet.
template <int L> static void max_pool_grad_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    typedef typename types<L>::I I;
    const int planes = k->n * ((k->c + L - 1) / L);
    const int64_t hw = (int64_t)k->h * k->w, ohw = (int64_t)k->oh * k->ow;
#pragma omp parallel for collapse(2) schedule(static)
    for (int p = 0; p < planes; p++)
        for (int h = 0; h < k->h; h++) {
            const uint8_t *tap = (const uint8_t *)k->in[0] + p * ohw * L;
            const V *dy = (const V *)k->in[1] + p * ohw;
            V *dx = (V *)k->out[0] + p * hw + (int64_t)h * k->w;
            const int hp = h + k->pad, oh0 = hp < k->kernel ? 0 : (hp - k->kernel) / k->stride + 1;
            const int oh1 = hp / k->stride < k->oh - 1 ? hp / k->stride : k->oh - 1;
            for (int w = 0; w < k->w; w++) {
                const int wp = w + k->pad, ow0 = wp < k->kernel ? 0 : (wp - k->kernel) / k->stride + 1;
                const int ow1 = wp / k->stride < k->ow - 1 ? wp / k->stride : k->ow - 1;
                V sum = {};
                for (int oh = oh0; oh <= oh1; oh++)
                    for (int ow = ow0; ow <= ow1; ow++) {
                        const int64_t o = (int64_t)oh * k->ow + ow;
                        const I want = I{} + ((hp - oh * k->stride) * k->kernel + wp - ow * k->stride);
                        sum += load_bytes<L>(tap + o * L) == want ? dy[o] : V{};
                    }
                dx[w] = sum;
            }
        }
}

// v[n,c] = mean over pixels of x, or of x·gate.
template <int L> static void pool_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    const int blocks = (k->c + L - 1) / L;
    const int64_t hw = (int64_t)k->h * k->w;
#pragma omp parallel for schedule(static)
    for (int p = 0; p < k->n * blocks; p++) {
        const int n = p / blocks, b = p % blocks;
        const V *x = (const V *)k->in[0] + p * hw;
        const float *gate = (k->flags & DSL_GATE_FLAG) ? (const float *)k->in[1] + n * hw : nullptr;
        double sum[L] = {};
        for (int64_t i = 0; i < hw; i += RUN) {
            const int64_t end = hw - i < RUN ? hw : i + RUN;
            V s = {};
            if (gate)
                for (int64_t j = i; j < end; j++) s += x[j] * gate[j];
            else
                for (int64_t j = i; j < end; j++) s += x[j];
            add_lanes(sum, s);
        }
        float *v = (float *)k->out[0] + (int64_t)n * k->c + b * L;
        for (int l = 0; l < valid(k->c, b, L); l++) v[l] = (float)(sum[l] / (double)hw);
    }
}

// dx = dv/(h·w) or gate·dv/(h·w); da = Σ_c x·dv/(h·w).
template <int L> static void pool_grad_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    const int blocks = (k->c + L - 1) / L;
    const int64_t hw = (int64_t)k->h * k->w;
    const bool gated = k->flags & DSL_GATE_FLAG;
    const float *dv = (const float *)k->in[gated ? 2 : 0], scale = (float)(1 / (double)hw);
    float *da = gated ? (float *)k->out[1] : nullptr;
    if (k->out[0]) {
#pragma omp parallel for schedule(static)
        for (int p = 0; p < k->n * blocks; p++) {
            const int n = p / blocks, b = p % blocks;
            const V d = load_some<V>(dv + (int64_t)n * k->c + b * L, valid(k->c, b, L)) * scale;
            V *dx = (V *)k->out[0] + p * hw;
            const float *gate = gated ? (const float *)k->in[1] + n * hw : nullptr;
            for (int64_t i = 0; i < hw; i++) dx[i] = gate ? d * gate[i] : d;
        }
    }
    if (!da) return;
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < k->n; n++)
        for (int64_t i = 0; i < hw; i++) {
            V sum = {};
            for (int b = 0; b < blocks; b++) {
                const V d = load_some<V>(dv + (int64_t)n * k->c + b * L, valid(k->c, b, L));
                sum += ((const V *)k->in[0])[((int64_t)n * blocks + b) * hw + i] * d;
            }
            da[n * hw + i] = sum_lanes(sum) * scale;
        }
}

// out[c] = Σ over images and pixels: a bias gradient by itself.
template <int L> static void channel_sum_l(const dsl_kernel *k) {
    typedef typename types<L>::F V;
    const int blocks = (k->c + L - 1) / L;
    const int64_t hw = (int64_t)k->h * k->w;
#pragma omp parallel for schedule(static)
    for (int b = 0; b < blocks; b++) {
        double sum[L] = {};
        for (int n = 0; n < k->n; n++) {
            const V *x = (const V *)k->in[0] + ((int64_t)n * blocks + b) * hw;
            for (int64_t i = 0; i < hw; i += RUN) {
                V s = {};
                for (int64_t j = i; j < (hw - i < RUN ? hw : i + RUN); j++) s += x[j];
                add_lanes(sum, s);
            }
        }
        for (int l = 0; l < valid(k->c, b, L); l++) ((float *)k->out[0])[b * L + l] = (float)sum[l];
    }
}
