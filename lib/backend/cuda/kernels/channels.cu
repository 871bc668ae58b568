// Sums over the rows of a matrix [rows, C], and the epilogue of a convolution: work whose threads keep to their channels.
#include "device.h"

// y = relu?(y + bias? + residual?) in place. 2·T bytes per element, T more with a residual.
template <class T> DEV void epilogue(T *y, const float *bias, const T *residual, bool relu, i64 n, i64 c) {
    by_channels<T>(c, aligned(y, residual) && aligned(bias), [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            if (channel < 0) return;
            float b[W] = {};
            if (bias) load(bias + channel, b);
            for (i64 row = r.from + l.y; row < r.to; row += l.down) {
                const i64 at = row * c + channel;
                float v[W], s[W] = {};
                load(y + at, v);
                if (residual) load(residual + at, s);
                for (int i = 0; i < W; i++) {
                    v[i] = v[i] + b[i] + s[i];
                    if (relu) v[i] = zero_below(v[i]);
                }
                store(y + at, v);
            }
        });
    });
}
KERNEL(epilogue_f32, float *y, const float *bias, const float *residual, i64 relu, i64 n, i64 c) { epilogue(y, bias, residual, relu, n, c); }
KERNEL(epilogue_bf16, bf16 *y, const float *bias, const bf16 *residual, i64 relu, i64 n, i64 c) { epilogue(y, bias, residual, relu, n, c); }

// partial [grid.x, C]: the sums of each part of the rows. T bytes per element.
template <class T> DEV void channel_sum(const T *x, float *partial, i64 n, i64 c) {
    by_channels<T>(c, aligned(x) && aligned(partial), [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n);
        l.columns([=](i64 channel) {
            float sum[W] = {};
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += l.down) {
                float v[W];
                load(x + row * c + channel, v);
                for (int i = 0; i < W; i++) sum[i] += v[i];
            }
            sum_down(l, sum);
            if (channel >= 0 && l.y == 0) store(partial + block_x() * c + channel, sum);
        });
    });
}
BLOCK_KERNEL(channel_sum_f32, const float *x, float *partial, i64 rows, i64 c) { channel_sum(x, partial, rows, c); }
BLOCK_KERNEL(channel_sum_bf16, const bf16 *x, float *partial, i64 rows, i64 c) { channel_sum(x, partial, rows, c); }

// out [C] = Σ partial [parts, C].
BLOCK_KERNEL(channel_sum_final, const float *partial, float *out, i64 parts, i64 c) {
    double sum = 0;
    const finish f;
    for (i64 p = f.first; f.channel < c && p < parts; p += FINISH_GROUPS) sum += (double)partial[p * c + f.channel];
    sum = sum_channel(f, sum);
    if (f.first == 0 && f.channel < c) out[f.channel] = (float)sum;
}
