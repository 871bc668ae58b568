// Adam, as torch.optim.Adam: 28 bytes per parameter.
#include "device.h"

struct adam_numbers {
    float rate, decay, beta1, keep1, beta2, keep2, root, eps; // rate = LR/(1−β₁ᵗ), keep = 1−β, root = 1/√(1−β₂ᵗ)
};
DEV adam_numbers adam_at(const double *args, double rate, double correction1, double correction2) {
    return {(float)(rate * correction1), (float)args[1], (float)args[2], (float)(1 - args[2]), (float)args[3], (float)(1 - args[3]),
            (float)root(correction2), (float)args[4]};
}

// Each thread takes W parameters at a time of the n that its block has.
template <int W> DEV void adam_some(const adam_numbers &a, float *w, const float *dw, float *m, float *v, i64 at) {
    float p[W], g[W], mean[W], square[W];
    load(w + at, p), load(dw + at, g), load(m + at, mean), load(v + at, square);
    for (int i = 0; i < W; i++) {
        g[i] = mul_add(a.decay, p[i], g[i]);
        mean[i] = mul_add(a.beta1, mean[i], a.keep1 * g[i]);
        square[i] = mul_add(a.beta2, square[i], a.keep2 * g[i] * g[i]);
        p[i] -= a.rate * mean[i] / mul_add(root(square[i]), a.root, a.eps);
    }
    store(w + at, p), store(m + at, mean), store(v + at, square);
}
DEV void adam_block(const adam_numbers &a, float *w, const float *dw, float *m, float *v, i64 n) {
    const i64 packs = aligned(w, dw, m, v) ? n / 4 : 0;
    for (i64 i = thread_id(); i < packs; i += BLOCK) adam_some<4>(a, w, dw, m, v, 4 * i);
    for (i64 i = packs * 4 + thread_id(); i < n; i += BLOCK) adam_some<1>(a, w, dw, m, v, i);
}

// A piece of a parameter: a table of them lies in device memory.
struct adam_chunk {
    float *w;
    const float *dw;
    float *m, *v;
    i64 n;
};

// One block per chunk.
KERNEL(adam_multi, const adam_chunk *chunks, const double *args) {
    const adam_chunk c = chunks[block_x()];
    adam_block(adam_at(args, args[0], args[5], args[6]), c.w, c.dw, c.m, c.v, c.n);
}

// βⁿ by repeated squaring.
DEV double power(double beta, u32 n) {
    double p = 1;
    for (; n; n /= 2, beta *= beta)
        if (n % 2) p *= beta;
    return p;
}

// One block per row [each]: a row whose mask is zero stays as it is, the others count their steps for themselves, at the rate args[9].
BLOCK_KERNEL(adam_rows, float *w, const float *dw, float *m, float *v, const u8 *mask, i32 *count, const double *args, i64 each) {
    const i64 row = block_x(), at = row * each;
    if (!mask[row]) return;
    const i32 step = count[row] + 1;
    meet();
    if (thread_id() == 0) count[row] = step;
    const double correction1 = 1 / (1 - power(args[2], (u32)step)), correction2 = 1 / (1 - power(args[3], (u32)step));
    adam_block(adam_at(args, args[9], correction1, correction2), w + at, dw + at, m + at, v + at, each);
}
