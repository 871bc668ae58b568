// Convolutions for shapes that cuDNN has no engine for: correct for every shape, without a thought of speed. Sums are float32, in one order.
#include "device.h"

// N images of H·W·C; output H', W', K; kernel R = S.
struct geometry {
    i32 n, h, w, c, oh, ow, k, kernel, stride, pad;
};
DEV geometry geometry_of(i64 n, i64 h, i64 w, i64 c, i64 oh, i64 ow, i64 k, i64 kernel, i64 stride, i64 pad) {
    return {(i32)n, (i32)h, (i32)w, (i32)c, (i32)oh, (i32)ow, (i32)k, (i32)kernel, (i32)stride, (i32)pad};
}

// An output element per thread.
template <class T> DEV void conv(const T *x, const T *w, T *y, geometry g) {
    for (i64 i = first_item(); i < (i64)g.n * g.oh * g.ow * g.k; i += all_threads()) {
        const i32 k = (i32)(i % g.k);
        const u32 pixel = (u32)(i / g.k), ow = pixel % (u32)g.ow, oh = pixel / (u32)g.ow % (u32)g.oh, image = pixel / (u32)g.ow / (u32)g.oh;
        float sum = 0;
        for (i32 tap = 0; tap < g.kernel * g.kernel; tap++) {
            const i32 ih = (i32)oh * g.stride - g.pad + tap / g.kernel, iw = (i32)ow * g.stride - g.pad + tap % g.kernel;
            if (ih < 0 || ih >= g.h || iw < 0 || iw >= g.w) continue;
            const T *from = x + (((i64)image * g.h + ih) * g.w + iw) * g.c, *weight = w + ((i64)k * g.kernel * g.kernel + tap) * g.c;
            for (i32 c = 0; c < g.c; c++) sum = mul_add(to_float(from[c]), to_float(weight[c]), sum);
        }
        assign(y[i], sum);
    }
}
KERNEL(conv_direct_f32, const float *x, const float *w, float *y, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k, i64 kernel, i64 stride,
       i64 pad) {
    conv(x, w, y, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}
KERNEL(conv_direct_bf16, const bf16 *x, const bf16 *w, bf16 *y, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k, i64 kernel, i64 stride,
       i64 pad) {
    conv(x, w, y, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}

// An input element per thread.
template <class T> DEV void conv_grad_data(const T *w, const T *dy, T *dx, geometry g) {
    for (i64 i = first_item(); i < (i64)g.n * g.h * g.w * g.c; i += all_threads()) {
        const i32 c = (i32)(i % g.c);
        const u32 pixel = (u32)(i / g.c), iw = pixel % (u32)g.w, ih = pixel / (u32)g.w % (u32)g.h, image = pixel / (u32)g.w / (u32)g.h;
        float sum = 0;
        for (i32 tap = 0; tap < g.kernel * g.kernel; tap++) {
            const i32 y = (i32)ih + g.pad - tap / g.kernel, x = (i32)iw + g.pad - tap % g.kernel;
            if (y < 0 || x < 0 || y % g.stride || x % g.stride || y / g.stride >= g.oh || x / g.stride >= g.ow) continue;
            const T *from = dy + (((i64)image * g.oh + y / g.stride) * g.ow + x / g.stride) * g.k, *weight = w + (i64)tap * g.c + c;
            for (i32 k = 0; k < g.k; k++)
                sum = mul_add(to_float(from[k]), to_float(weight[(i64)k * g.kernel * g.kernel * g.c]), sum);
        }
        assign(dx[i], sum);
    }
}
KERNEL(conv_direct_grad_data_f32, const float *w, const float *dy, float *dx, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k, i64 kernel,
       i64 stride, i64 pad) {
    conv_grad_data(w, dy, dx, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}
KERNEL(conv_direct_grad_data_bf16, const bf16 *w, const bf16 *dy, bf16 *dx, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k, i64 kernel,
       i64 stride, i64 pad) {
    conv_grad_data(w, dy, dx, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}

// An output channel and a place of the kernel per block along x: its threads share the channels and the positions out.
template <class T> DEV void conv_grad_weights(const T *x, const T *dy, T *dw, geometry g) {
    const lanes<1> l(g.c);
    const i32 taps = g.kernel * g.kernel, k = (i32)(block_x() / taps), tap = (i32)(block_x() % taps);
    l.columns([=](i64 channel) {
        float sum[1] = {};
        for (u32 p = (u32)l.y; channel >= 0 && p < (u32)g.n * g.oh * g.ow; p += (u32)l.down) {
            const u32 ow = p % (u32)g.ow, oh = p / (u32)g.ow % (u32)g.oh, image = p / (u32)g.ow / (u32)g.oh;
            const i32 ih = (i32)oh * g.stride - g.pad + tap / g.kernel, iw = (i32)ow * g.stride - g.pad + tap % g.kernel;
            if (ih < 0 || ih >= g.h || iw < 0 || iw >= g.w) continue;
            sum[0] = mul_add(to_float(x[(((i64)image * g.h + ih) * g.w + iw) * g.c + channel]), to_float(dy[(i64)p * g.k + k]), sum[0]);
        }
        sum_down(l, sum);
        if (channel >= 0 && l.y == 0) assign(dw[block_x() * g.c + channel], sum[0]);
    });
}
BLOCK_KERNEL(conv_direct_grad_weights_f32, const float *x, const float *dy, float *dw, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k,
             i64 kernel, i64 stride, i64 pad) {
    conv_grad_weights(x, dy, dw, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}
BLOCK_KERNEL(conv_direct_grad_weights_bf16, const bf16 *x, const bf16 *dy, bf16 *dw, i64 n, i64 h, i64 width, i64 c, i64 oh, i64 ow, i64 k,
             i64 kernel, i64 stride, i64 pad) {
    conv_grad_weights(x, dy, dw, geometry_of(n, h, width, c, oh, ow, k, kernel, stride, pad));
}
