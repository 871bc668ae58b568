// BatchNorm over the statistics of the batch, of x [rows, C].
#include "device.h"

// Mean and sum of squared deviations of W channels over some rows, joined by Chan, Golub and LeVeque's update.
template <int W> struct moments {
    float count = 0, mean[W] = {}, m2[W] = {};
    MEMBER void join(float n, const float (&mu)[W], const float (&q)[W]) {
        const float total = count + n;
        if (total == 0) return;
        const float share = n / total;
        for (int i = 0; i < W; i++) {
            const float d = mu[i] - mean[i];
            mean[i] = mul_add(d, share, mean[i]);
            m2[i] += mul_add(d * d, count * share, q[i]);
        }
        count = total;
    }
};

// A run of rows is read once and kept, so that its squares are taken around its own mean.
constexpr int RUN = 8;
template <int W, class T> DEV void add_run(moments<W> &m, const T *x, i64 stride, int n) {
    float v[RUN][W] = {}, mean[W] = {}, q[W] = {};
    for (int r = 0; r < RUN; r++)
        if (r < n) load(x + r * stride, v[r]);
    for (int r = 0; r < RUN; r++)
        for (int i = 0; i < W; i++) mean[i] += v[r][i];
    for (int i = 0; i < W; i++) mean[i] /= (float)n;
    for (int r = 0; r < RUN; r++)
        for (int i = 0; i < W; i++) {
            const float d = r < n ? v[r][i] - mean[i] : 0;
            q[i] = mul_add(d, d, q[i]);
        }
    m.join((float)n, mean, q);
}

// Joins the moments of the threads of a block that see the same channels; the result is thread (x, 0)'s.
template <int W> DEV void join_down(const lanes<W> &l, moments<W> &m) {
    SHARED float room[2 * W + 1][BLOCK];
    const int t = thread_id();
    for (int half = l.down / 2; half > 0; half /= 2) {
        meet();
        if (l.y >= half && l.y < 2 * half) {
            for (int i = 0; i < W; i++) room[i][t] = m.mean[i], room[W + i][t] = m.m2[i];
            room[2 * W][t] = m.count;
        }
        meet();
        if (l.y >= half) continue;
        const int other = t + half * l.across;
        float mean[W], q[W];
        for (int i = 0; i < W; i++) mean[i] = room[i][other], q[i] = room[W + i][other];
        m.join(room[2 * W][other], mean, q);
    }
}

// partial [2, grid.x, C]: mean and squared deviations of each part of the rows. T bytes per element.
template <class T> DEV void stats(const T *x, float *partial, i64 n, i64 c) {
    by_channels<T>(c, aligned(x) && aligned(partial), [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            moments<W> m;
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += RUN * l.down)
                add_run(m, x + row * c + channel, l.down * c, (int)smaller(RUN, divide_up(r.to - row, l.down)));
            join_down(l, m);
            if (channel < 0 || l.y > 0) return;
            store(partial + block_x() * c + channel, m.mean);
            store(partial + (grid_x() + block_x()) * c + channel, m.m2);
        });
    });
}
BLOCK_KERNEL(batch_norm_stats_f32, const float *x, float *partial, i64 rows, i64 c) { stats(x, partial, rows, c); }
BLOCK_KERNEL(batch_norm_stats_bf16, const bf16 *x, float *partial, i64 rows, i64 c) { stats(x, partial, rows, c); }

// mean and biased variance [C] from the parts. With the mean of all known, the parts' deviations from it simply add up.
BLOCK_KERNEL(batch_norm_final, const float *partial, float *mean, float *variance, i64 n, i64 parts, i64 c) {
    const finish f;
    const i64 size = divide_up(n, parts);
    double sum = 0, m2 = 0;
    for (i64 p = f.first; f.channel < c && p < parts; p += FINISH_GROUPS)
        sum += (double)larger(0, smaller(size, n - p * size)) * (double)partial[p * c + f.channel];
    const double mu = sum_channel(f, sum) / (double)n;
    for (i64 p = f.first; f.channel < c && p < parts; p += FINISH_GROUPS) {
        const double d = (double)partial[p * c + f.channel] - mu, count = (double)larger(0, smaller(size, n - p * size));
        m2 += (double)partial[(parts + p) * c + f.channel] + d * d * count;
    }
    m2 = sum_channel(f, m2);
    if (f.first != 0 || f.channel >= c) return;
    mean[f.channel] = (float)mu;
    variance[f.channel] = (float)(m2 / (double)n);
}

// y = γ·(x−μ)/√(σ²+eps) + β (+ residual)(ReLU). 2·T bytes per element, T more with a residual.
template <class T>
DEV void apply(const T *x, const float *mean, const float *variance, const float *gamma, const float *beta, const T *residual, T *y, double eps,
               bool relu, i64 n, i64 c) {
    by_channels<T>(c, aligned(x, residual, (const T *)y) && aligned(mean, variance, gamma, beta), [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            if (channel < 0) return;
            float mu[W], s[W], b[W], v[W];
            load(mean + channel, mu), load(variance + channel, v), load(gamma + channel, s), load(beta + channel, b);
            for (int i = 0; i < W; i++) s[i] /= root(v[i] + (float)eps);
            for (i64 row = r.from + l.y; row < r.to; row += l.down) {
                const i64 at = row * c + channel;
                float more[W] = {};
                load(x + at, v);
                if (residual) load(residual + at, more);
                for (int i = 0; i < W; i++) {
                    v[i] = mul_add(v[i] - mu[i], s[i], b[i]) + more[i];
                    if (relu) v[i] = zero_below(v[i]);
                }
                store(y + at, v);
            }
        });
    });
}
KERNEL(batch_norm_apply_f32, const float *x, const float *mean, const float *variance, const float *gamma, const float *beta,
       const float *residual, float *y, double eps, i64 relu, i64 rows, i64 c) {
    apply(x, mean, variance, gamma, beta, residual, y, eps, relu, rows, c);
}
KERNEL(batch_norm_apply_bf16, const bf16 *x, const float *mean, const float *variance, const float *gamma, const float *beta,
       const bf16 *residual, bf16 *y, double eps, i64 relu, i64 rows, i64 c) {
    apply(x, mean, variance, gamma, beta, residual, y, eps, relu, rows, c);
}

// The gradient that reaches BatchNorm: dy, or dy where y > 0 when y is given.
template <int W, class T> DEV void load_masked(const T *dy, const T *y, i64 at, float (&g)[W]) {
    load(dy + at, g);
    if (!y) return;
    float mask[W];
    load(y + at, mask);
    for (int i = 0; i < W; i++) g[i] = mask[i] > 0 ? g[i] : 0;
}

// partial [2, grid.x, C]: Σ g and Σ g·(x−μ) of each part of the rows. 2·T bytes per element, T more with a mask.
template <class T> DEV void grad_sums(const T *x, const T *dy, const T *y, const float *mean, float *partial, i64 n, i64 c) {
    by_channels<T>(c, aligned(x, dy, y) && aligned(mean, (const float *)partial), [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            float sum[W] = {}, dot[W] = {}, mu[W] = {};
            if (channel >= 0) load(mean + channel, mu);
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += l.down) {
                float g[W], v[W];
                load_masked(dy, y, row * c + channel, g);
                load(x + row * c + channel, v);
                for (int i = 0; i < W; i++) sum[i] += g[i], dot[i] = mul_add(g[i], v[i] - mu[i], dot[i]);
            }
            sum_down(l, sum), sum_down(l, dot);
            if (channel < 0 || l.y > 0) return;
            store(partial + block_x() * c + channel, sum);
            store(partial + (grid_x() + block_x()) * c + channel, dot);
        });
    });
}
BLOCK_KERNEL(batch_norm_grad_sums_f32, const float *x, const float *dy, const float *y, const float *mean, float *partial, i64 rows, i64 c) {
    grad_sums(x, dy, y, mean, partial, rows, c);
}
BLOCK_KERNEL(batch_norm_grad_sums_bf16, const bf16 *x, const bf16 *dy, const bf16 *y, const float *mean, float *partial, i64 rows, i64 c) {
    grad_sums(x, dy, y, mean, partial, rows, c);
}

// dγ = Σ g·(x−μ)/√(σ²+eps) and dβ = Σ g [C] from the parts.
BLOCK_KERNEL(batch_norm_grad_final, const float *partial, const float *variance, float *dgamma, float *dbeta, double eps, i64 parts, i64 c) {
    const finish f;
    double sum = 0, dot = 0;
    for (i64 p = f.first; f.channel < c && p < parts; p += FINISH_GROUPS) {
        sum += (double)partial[p * c + f.channel];
        dot += (double)partial[(parts + p) * c + f.channel];
    }
    sum = sum_channel(f, sum), dot = sum_channel(f, dot);
    if (f.first != 0 || f.channel >= c) return;
    dgamma[f.channel] = (float)(dot / root((double)variance[f.channel] + eps));
    dbeta[f.channel] = (float)sum;
}

// dx = γ·s·(g − dβ/n − (x−μ)·s·dγ/n) with s = 1/√(σ²+eps). 3·T bytes per element, T more with a mask.
template <class T>
DEV void grad_apply(const T *x, const T *dy, const T *y, const float *mean, const float *variance, const float *gamma, const float *dgamma,
                    const float *dbeta, T *dx, double eps, i64 n, i64 c) {
    const bool wide = aligned(x, dy, y, (const T *)dx) && aligned(mean, variance, gamma, dgamma, dbeta);
    by_channels<T>(c, wide, [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            if (channel < 0) return;
            float mu[W], s[W], a[W], slope[W], offset[W];
            load(mean + channel, mu), load(variance + channel, s), load(gamma + channel, a);
            load(dgamma + channel, slope), load(dbeta + channel, offset);
            for (int i = 0; i < W; i++) {
                s[i] = 1 / root(s[i] + (float)eps);
                a[i] *= s[i], slope[i] *= -s[i] / (float)n, offset[i] /= -(float)n;
            }
            for (i64 row = r.from + l.y; row < r.to; row += l.down) {
                const i64 at = row * c + channel;
                float g[W], v[W];
                load_masked(dy, y, at, g);
                load(x + at, v);
                for (int i = 0; i < W; i++) v[i] = a[i] * mul_add(v[i] - mu[i], slope[i], g[i] + offset[i]);
                store(dx + at, v);
            }
        });
    });
}
KERNEL(batch_norm_grad_apply_f32, const float *x, const float *dy, const float *y, const float *mean, const float *variance, const float *gamma,
       const float *dgamma, const float *dbeta, float *dx, double eps, i64 rows, i64 c) {
    grad_apply(x, dy, y, mean, variance, gamma, dgamma, dbeta, dx, eps, rows, c);
}
KERNEL(batch_norm_grad_apply_bf16, const bf16 *x, const bf16 *dy, const bf16 *y, const float *mean, const float *variance, const float *gamma,
       const float *dgamma, const float *dbeta, bf16 *dx, double eps, i64 rows, i64 c) {
    grad_apply(x, dy, y, mean, variance, gamma, dgamma, dbeta, dx, eps, rows, c);
}

// running ← (1−ρ)·running + ρ·new with ρ = args[7], the variance unbiased by count/(count−1).
KERNEL(update_running, const float *mean, const float *variance, float *running_mean, float *running_variance, const double *args, i64 count,
       i64 c) {
    const double rho = args[7], unbias = count > 1 ? (double)count / (double)(count - 1) : 1;
    for (i64 i = first_item(); i < c; i += all_threads()) {
        running_mean[i] = (float)((1 - rho) * (double)running_mean[i] + rho * (double)mean[i]);
        running_variance[i] = (float)((1 - rho) * (double)running_variance[i] + rho * (double)variance[i] * unbias);
    }
}
