// Weights [K, taps, C] and what frozen BatchNorm makes of them. Indices of elements are 32-bit: fewer than 2³¹ of them.
#include "device.h"

// γ/√(v+eps), in float32 to one and a half units in the last place.
DEV float fold(const float *gamma, const float *variance, double eps, i64 k) {
    return gamma[k] / root(variance[k] + (float)eps);
}

// y [K, taps, padded] = w [K, taps, C], times the fold where gamma is given, channels beyond C zero; `outputs` is K, `each` taps·padded.
// 4 + T bytes per weight.
template <class T>
DEV void pack(const float *w, const float *gamma, const float *variance, T *y, double eps, u32 outputs, u32 each_k, u32 c, u32 padded) {
    each<T>((i64)outputs * each_k, c == padded && each_k % WIDE<T> == 0 && aligned(w) && aligned(y), [=](i64 at, auto width) {
        float v[width.value] = {};
        if (c == padded) {
            load(w + at, v);
        } else { // one at a time
            const u32 row = (u32)at / padded, channel = (u32)at % padded;
            v[0] = channel < c ? w[(i64)row * c + channel] : 0;
        }
        if (gamma) {
            const float s = fold(gamma, variance, eps, (u32)at / each_k);
            for (int i = 0; i < width.value; i++) v[i] *= s;
        }
        store(y + at, v);
    });
}
KERNEL(pack_weights_f32, const float *w, const float *gamma, const float *variance, float *y, double eps, i64 outputs, i64 taps, i64 c,
       i64 padded) {
    pack(w, gamma, variance, y, eps, (u32)outputs, (u32)(taps * padded), (u32)c, (u32)padded);
}
KERNEL(pack_weights_bf16, const float *w, const float *gamma, const float *variance, bf16 *y, double eps, i64 outputs, i64 taps, i64 c,
       i64 padded) {
    pack(w, gamma, variance, y, eps, (u32)outputs, (u32)(taps * padded), (u32)c, (u32)padded);
}

// dw [K·taps, C] = g [K·taps, padded] without the padding. 4 + T bytes per weight.
template <class T> DEV void unpack_grad(const T *g, float *dw, i64 n, u32 c, u32 padded) {
    each<T>(n, c == padded && aligned(g) && aligned(dw), [=](i64 at, auto width) {
        float v[width.value] = {};
        if (c == padded) load(g + at, v);
        else v[0] = to_float(g[(i64)((u32)at / c) * padded + (u32)at % c]);
        store(dw + at, v);
    });
}
KERNEL(unpack_weights_grad_f32, const float *g, float *dw, i64 rows, i64 c, i64 padded) { unpack_grad(g, dw, rows * c, (u32)c, (u32)padded); }
KERNEL(unpack_weights_grad_bf16, const bf16 *g, float *dw, i64 rows, i64 c, i64 padded) { unpack_grad(g, dw, rows * c, (u32)c, (u32)padded); }

// Of one output channel per block: dw = g·fold and dγ = Σ g·w/√(v+eps); either may be absent. 8 + T bytes per weight.
template <class T>
DEV void scale_grad(const float *w, const float *gamma, const float *variance, const T *g, float *dw, float *dgamma, double eps, u32 taps,
                    u32 c, u32 padded) {
    const i64 k = block_x(), at_w = k * taps * c, at_g = k * taps * padded;
    const float s = fold(gamma, variance, eps, k);
    float sum = 0;
    for (u32 i = (u32)thread_id(); i < taps * c; i += BLOCK) {
        const float v = to_float(g[at_g + (c == padded ? i : i / c * padded + i % c)]);
        sum = mul_add(v, w[at_w + i], sum);
        if (dw) dw[at_w + i] = v * s;
    }
    if (!dgamma) return;
    sum = sum_block(sum);
    if (thread_id() == 0) dgamma[k] = sum / root(variance[k] + (float)eps);
}
BLOCK_KERNEL(scale_weights_grad_f32, const float *w, const float *gamma, const float *variance, const float *g, float *dw, float *dgamma,
             double eps, i64 taps, i64 c, i64 padded) {
    scale_grad(w, gamma, variance, g, dw, dgamma, eps, (u32)taps, (u32)c, (u32)padded);
}
BLOCK_KERNEL(scale_weights_grad_bf16, const float *w, const float *gamma, const float *variance, const bf16 *g, float *dw, float *dgamma,
             double eps, i64 taps, i64 c, i64 padded) {
    scale_grad(w, gamma, variance, g, dw, dgamma, eps, (u32)taps, (u32)c, (u32)padded);
}

// β − m·γ/√(v+eps), and −m·g/√(v+eps): a few numbers, in double precision.
KERNEL(shift_bias, const float *gamma, const float *beta, const float *mean, const float *variance, float *y, double eps, i64 n) {
    for (i64 k = first_item(); k < n; k += all_threads())
        y[k] = (float)((double)beta[k] - (double)mean[k] * (double)gamma[k] / root((double)variance[k] + eps));
}
KERNEL(shift_bias_grad, const float *mean, const float *variance, const float *g, float *dgamma, double eps, i64 n) {
    for (i64 k = first_item(); k < n; k += all_threads())
        dgamma[k] = (float)(-(double)mean[k] * (double)g[k] / root((double)variance[k] + eps));
}
