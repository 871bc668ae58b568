// Kernels that compute each element from elements at the same place. The output may be an operand's memory.
#include "device.h"

// Bytes per element: 2·T, and T for each further operand.
template <class T, class F> DEV void map(const T *a, T *y, i64 n, F f) {
    each<T>(n, aligned(a, y), [=](i64 at, auto w) {
        float u[w.value];
        load(a + at, u);
        for (int i = 0; i < w.value; i++) u[i] = f(u[i]);
        store(y + at, u);
    });
}
template <class T, class F> DEV void map2(const T *a, const T *b, T *y, i64 n, F f) {
    each<T>(n, aligned(a, b, y), [=](i64 at, auto w) {
        float u[w.value], v[w.value];
        load(a + at, u), load(b + at, v);
        for (int i = 0; i < w.value; i++) u[i] = f(u[i], v[i]);
        store(y + at, u);
    });
}

template <class T> DEV void add(const T *a, const T *b, T *y, i64 n) {
    map2(a, b, y, n, [](float u, float v) { return u + v; });
}
KERNEL(add_f32, const float *a, const float *b, float *y, i64 n) { add(a, b, y, n); }
KERNEL(add_bf16, const bf16 *a, const bf16 *b, bf16 *y, i64 n) { add(a, b, y, n); }

template <class T> DEV void relu(const T *x, T *y, i64 n) {
    map(x, y, n, [](float v) { return zero_below(v); });
}
KERNEL(relu_f32, const float *x, float *y, i64 n) { relu(x, y, n); }
KERNEL(relu_bf16, const bf16 *x, bf16 *y, i64 n) { relu(x, y, n); }

template <class T> DEV void relu_grad(const T *y, const T *dy, T *dx, i64 n) {
    map2(y, dy, dx, n, [](float v, float g) { return v > 0 ? g : 0; });
}
KERNEL(relu_grad_f32, const float *y, const float *dy, float *dx, i64 n) { relu_grad(y, dy, dx, n); }
KERNEL(relu_grad_bf16, const bf16 *y, const bf16 *dy, bf16 *dx, i64 n) { relu_grad(y, dy, dx, n); }

// The gradient is a sum of two.
template <class T> DEV void relu_grad2(const T *y, const T *dy, const T *dy2, T *dx, i64 n) {
    each<T>(n, aligned(y, dy, dy2, dx), [=](i64 at, auto w) {
        float v[w.value], g[w.value], h[w.value];
        load(y + at, v), load(dy + at, g), load(dy2 + at, h);
        for (int i = 0; i < w.value; i++) g[i] = v[i] > 0 ? g[i] + h[i] : 0;
        store(dx + at, g);
    });
}
KERNEL(relu_grad2_f32, const float *y, const float *dy, const float *dy2, float *dx, i64 n) { relu_grad2(y, dy, dy2, dx, n); }
KERNEL(relu_grad2_bf16, const bf16 *y, const bf16 *dy, const bf16 *dy2, bf16 *dx, i64 n) { relu_grad2(y, dy, dy2, dx, n); }

// eˣ for x in [-87, 88], to 2 units in the last place: x = n·ln 2 + r, the series in r, and n added to the exponent.
DEV float exponential(float x) {
    x = x < -87 ? -87 : x > 88 ? 88 : x;
    const float shift = 12582912; // 1.5·2²³: adding it rounds to an integer
    const float n = mul_add(x, 1.44269504f, shift) - shift;
    float r = mul_add(n, -0.693145752f, x); // ln 2 in two parts, the first with few bits
    r = mul_add(n, -1.42860677e-6f, r);
    float p = 1.0f / 5040;
    const float c[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    for (float k : c) p = mul_add(p, r, k);
    return p * __builtin_bit_cast(float, ((i32)n + 127) << 23);
}

template <class T> DEV void sigmoid(const T *x, T *y, i64 n) {
    map(x, y, n, [](float v) { return 1 / (1 + exponential(-v)); });
}
KERNEL(sigmoid_f32, const float *x, float *y, i64 n) { sigmoid(x, y, n); }
KERNEL(sigmoid_bf16, const bf16 *x, bf16 *y, i64 n) { sigmoid(x, y, n); }

template <class T> DEV void sigmoid_grad(const T *y, const T *dy, T *dx, i64 n) {
    map2(y, dy, dx, n, [](float v, float g) { return g * v * (1 - v); });
}
KERNEL(sigmoid_grad_f32, const float *y, const float *dy, float *dx, i64 n) { sigmoid_grad(y, dy, dx, n); }
KERNEL(sigmoid_grad_bf16, const bf16 *y, const bf16 *dy, bf16 *dx, i64 n) { sigmoid_grad(y, dy, dx, n); }

// Between float32 and T: 4 + T bytes per element.
template <class T, class X, class Y> DEV void convert(const X *x, Y *y, i64 n) {
    each<T>(n, aligned(x) && aligned(y), [=](i64 at, auto w) {
        float v[w.value];
        load(x + at, v);
        store(y + at, v);
    });
}
KERNEL(from_f32_f32, const float *x, float *y, i64 n) { convert<float>(x, y, n); }
KERNEL(from_f32_bf16, const float *x, bf16 *y, i64 n) { convert<bf16>(x, y, n); }
KERNEL(to_f32_f32, const float *x, float *y, i64 n) { convert<float>(x, y, n); }
KERNEL(to_f32_bf16, const bf16 *x, float *y, i64 n) { convert<bf16>(x, y, n); }

// SplitMix64's finaliser (Steele, Lea, Flood 2014), as lib/rng has it.
DEV u64 mix64(u64 z) {
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

// Element i stays, scaled by 1/(1 − rate), where draw i of the counter-based stream is at least rate. Eight bytes per element.
KERNEL(dropout, const float *x, float *y, double rate, const double *args, i64 n) {
    const u64 key = ((const u64 *)args)[8];
    const float scale = (float)(1 / (1 - rate)), least = (float)rate;
    for (i64 i = first_item(); i < n; i += all_threads()) {
        const float draw = (float)(mix64(key + ((u64)i + 1) * 0x9E3779B97F4A7C15ull) >> 40) * (1.0f / (1 << 24));
        y[i] = (draw < least ? 0 : x[i]) * scale;
    }
}
