// Pooling. Images are NHWC; a walk over their positions is a walk over rows of C channels.
#include "device.h"

struct window {
    i32 h, w, oh, ow, kernel, stride, pad;
};

// y and the place of the maximum in its window, either may be absent. T·(stride² + 1) + 1 bytes per output element.
template <class T> DEV void max_pool(const T *x, T *y, u8 *tap, window s, i64 n, i64 c) {
    by_channels<T>(c, aligned(x, (const T *)y) && (u64)tap % 8 == 0, [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n * s.oh * s.ow);
        l.columns([=](i64 channel) {
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += l.down) {
                const u32 ow = (u32)row % (u32)s.ow, q = (u32)row / (u32)s.ow, oh = q % (u32)s.oh, image = q / (u32)s.oh;
                const i32 top = (i32)oh * s.stride - s.pad, left = (i32)ow * s.stride - s.pad;
                float best[W] = {}, v[W];
                u8 at[W];
                for (int i = 0; i < W; i++) at[i] = 255;
                for (i32 t = 0; t < s.kernel * s.kernel; t++) {
                    const i32 ih = top + t / s.kernel, iw = left + t % s.kernel;
                    if (ih < 0 || ih >= s.h || iw < 0 || iw >= s.w) continue;
                    load(x + (((i64)image * s.h + ih) * s.w + iw) * c + channel, v);
                    for (int i = 0; i < W; i++)
                        if (at[i] == 255 || v[i] > best[i]) best[i] = v[i], at[i] = (u8)t;
                }
                if (y) store(y + row * c + channel, best);
                if (tap) store_bytes(tap + row * c + channel, at);
            }
        });
    });
}
KERNEL(max_pool_f32, const float *x, float *y, u8 *tap, i64 n, i64 h, i64 w, i64 c, i64 oh, i64 ow, i64 kernel, i64 stride, i64 pad) {
    max_pool(x, y, tap, {(i32)h, (i32)w, (i32)oh, (i32)ow, (i32)kernel, (i32)stride, (i32)pad}, n, c);
}
KERNEL(max_pool_bf16, const bf16 *x, bf16 *y, u8 *tap, i64 n, i64 h, i64 w, i64 c, i64 oh, i64 ow, i64 kernel, i64 stride, i64 pad) {
    max_pool(x, y, tap, {(i32)h, (i32)w, (i32)oh, (i32)ow, (i32)kernel, (i32)stride, (i32)pad}, n, c);
}

// Each input element collects from the windows that chose it. T + (T + 1)·(kernel/stride)² bytes per input element, most of them cached.
template <class T> DEV void max_pool_grad(const u8 *tap, const T *dy, T *dx, window s, i64 n, i64 c) {
    by_channels<T>(c, aligned(dy, (const T *)dx) && (u64)tap % 8 == 0, [=](auto width, auto l) {
        constexpr int W = width.value;
        const rows r = part(n * s.h * s.w);
        l.columns([=](i64 channel) {
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += l.down) {
                const u32 q = (u32)row / (u32)s.w, image = q / (u32)s.h;
                const i32 y = (i32)(q % (u32)s.h) + s.pad, x = (i32)((u32)row % (u32)s.w) + s.pad; // in the padded image
                float sum[W] = {}, g[W];
                u8 at[W];
                const i32 last_h = (i32)smaller(s.oh - 1, y / s.stride), last_w = (i32)smaller(s.ow - 1, x / s.stride);
                for (i32 oh = y < s.kernel ? 0 : (y - s.kernel) / s.stride + 1; oh <= last_h; oh++)
                    for (i32 ow = x < s.kernel ? 0 : (x - s.kernel) / s.stride + 1; ow <= last_w; ow++) {
                        const i64 from = (((i64)image * s.oh + oh) * s.ow + ow) * c + channel;
                        const i32 here = (y - oh * s.stride) * s.kernel + x - ow * s.stride;
                        load_bytes(tap + from, at);
                        load(dy + from, g);
                        for (int i = 0; i < W; i++) sum[i] += at[i] == here ? g[i] : 0;
                    }
                store(dx + row * c + channel, sum);
            }
        });
    });
}
KERNEL(max_pool_grad_f32, const u8 *tap, const float *dy, float *dx, i64 n, i64 h, i64 w, i64 c, i64 oh, i64 ow, i64 kernel, i64 stride,
       i64 pad) {
    max_pool_grad(tap, dy, dx, {(i32)h, (i32)w, (i32)oh, (i32)ow, (i32)kernel, (i32)stride, (i32)pad}, n, c);
}
KERNEL(max_pool_grad_bf16, const u8 *tap, const bf16 *dy, bf16 *dx, i64 n, i64 h, i64 w, i64 c, i64 oh, i64 ow, i64 kernel, i64 stride,
       i64 pad) {
    max_pool_grad(tap, dy, dx, {(i32)h, (i32)w, (i32)oh, (i32)ow, (i32)kernel, (i32)stride, (i32)pad}, n, c);
}

// v [images, C] = mean over the positions of x, or of x·gate. An image per block along x. T bytes per element of x.
template <class T> DEV void pool(const T *x, const T *gate, float *v, i64 images, i64 positions, i64 c) {
    by_channels<T>(c, aligned(x) && aligned(v), [=](auto width, auto l) {
        constexpr int W = width.value;
        for (i64 image = block_x(); image < images; image += grid_x())
            l.columns([=](i64 channel) {
                float sum[W] = {}, u[W];
                for (i64 p = l.y; channel >= 0 && p < positions; p += l.down) {
                    load(x + (image * positions + p) * c + channel, u);
                    const float g = gate ? to_float(gate[image * positions + p]) : 1;
                    for (int i = 0; i < W; i++) sum[i] = mul_add(g, u[i], sum[i]);
                }
                sum_down(l, sum);
                if (channel < 0 || l.y > 0) return;
                for (int i = 0; i < W; i++) sum[i] /= (float)positions;
                store(v + image * c + channel, sum);
            });
    });
}
BLOCK_KERNEL(pool_f32, const float *x, float *v, i64 images, i64 positions, i64 c) { pool<float>(x, nullptr, v, images, positions, c); }
BLOCK_KERNEL(pool_bf16, const bf16 *x, float *v, i64 images, i64 positions, i64 c) { pool<bf16>(x, nullptr, v, images, positions, c); }
BLOCK_KERNEL(gated_pool_f32, const float *x, const float *gate, float *v, i64 images, i64 positions, i64 c) {
    pool(x, gate, v, images, positions, c);
}
BLOCK_KERNEL(gated_pool_bf16, const bf16 *x, const bf16 *gate, float *v, i64 images, i64 positions, i64 c) {
    pool(x, gate, v, images, positions, c);
}

// dx = dv/positions. T bytes per element.
template <class T> DEV void pool_grad(const float *dv, T *dx, i64 images, i64 positions, i64 c) {
    by_channels<T>(c, aligned(dv) && aligned(dx), [=](auto width, auto l) {
        const rows r = part(images * positions);
        const float share = 1 / (float)positions;
        l.columns([=](i64 channel) {
            for (i64 row = r.from + l.y; channel >= 0 && row < r.to; row += l.down) {
                float g[width.value];
                load(dv + (i64)((u32)row / (u32)positions) * c + channel, g);
                for (int i = 0; i < width.value; i++) g[i] *= share;
                store(dx + row * c + channel, g);
            }
        });
    });
}
KERNEL(pool_grad_f32, const float *dv, float *dx, i64 images, i64 positions, i64 c) { pool_grad(dv, dx, images, positions, c); }
KERNEL(pool_grad_bf16, const float *dv, bf16 *dx, i64 images, i64 positions, i64 c) { pool_grad(dv, dx, images, positions, c); }

// dx = gate·dv/positions and dgate = Σ_c x·dv/positions, either may be absent. A warp per position. 2·T bytes per element.
template <class T>
DEV void gated_pool_grad(const T *x, const T *gate, const float *dv, T *dx, T *dgate, i64 images, i64 positions, i64 c) {
    const int lane = thread_id() % WARP, warps = BLOCK / WARP;
    const bool wide = c % WIDE<T> == 0 && aligned(x, (const T *)dx) && aligned(dv);
    for (i64 p = block_x() * warps + thread_id() / WARP; p < images * positions; p += grid_x() * warps) {
        const float *row = dv + (i64)((u32)p / (u32)positions) * c;
        const float g = to_float(gate[p]) / (float)positions;
        float sum = 0;
        auto some = [&](i64 channel, auto width) {
            float u[width.value], d[width.value];
            load(x + p * c + channel, u), load(row + channel, d);
            for (int i = 0; i < width.value; i++) sum = mul_add(u[i], d[i], sum), d[i] *= g;
            if (dx) store(dx + p * c + channel, d);
        };
        constexpr int W = WIDE<T>;
        if (wide)
            for (i64 channel = lane * W; channel < c; channel += WARP * W) some(channel, width<W>());
        else
            for (i64 channel = lane; channel < c; channel += WARP) some(channel, width<1>());
        sum = sum_warp(sum);
        if (dgate && lane == 0) assign(dgate[p], sum / (float)positions);
    }
}
BLOCK_KERNEL(gated_pool_grad_f32, const float *x, const float *gate, const float *dv, float *dx, float *dgate, i64 images, i64 positions,
             i64 c) {
    gated_pool_grad(x, gate, dv, dx, dgate, images, positions, c);
}
BLOCK_KERNEL(gated_pool_grad_bf16, const bf16 *x, const bf16 *gate, const float *dv, bf16 *dx, bf16 *dgate, i64 images, i64 positions, i64 c) {
    gated_pool_grad(x, gate, dv, dx, dgate, images, positions, c);
}
