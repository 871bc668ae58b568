// A convolution, its gradients, and what may be fused with it, in plain loops.
#pragma once
#include <cmath>
#include <vector>
#include "emulated.h"
#include "numbers.h"

namespace emulated {

enum conv_op { FORWARD, GRAD_DATA, GRAD_WEIGHTS };

// How an engine computes.
enum conv_manner { EXACT, TF32_INPUTS, BF16_INPUTS, BF16_SUMS, ANY_ORDER };

// What comes after a forward convolution: y = y + at, of one row of channels or of all, or y = max(y, 0).
struct conv_step {
    bool relu, row, bf16;
    const void *at;
};

// All that a kernel would be given.
struct conv_args {
    int op, manner;
    bool bf16; // the elements of x, w and y
    int64_t n, h, w, c, k, r, s, oh, ow, stride_h, stride_w, pad_h, pad_w;
    void *x, *filter, *y;
    int steps;
    conv_step step[4];
    void *workspace;
    int64_t workspace_bytes;
};

class convolver {
    const conv_args &a;
    std::vector<float> x, w, y;

    int64_t x_count() const { return a.n * a.h * a.w * a.c; }
    int64_t w_count() const { return a.k * a.r * a.s * a.c; }
    int64_t y_count() const { return a.n * a.oh * a.ow * a.k; }

    float rounded(float v) const {
        return a.manner == TF32_INPUTS ? round_tf32(v) : a.manner == BF16_INPUTS ? round_bf16(v) : v;
    }

    static float read(const void *from, bool bf16, int64_t i) {
        return bf16 ? from_bf16(((const uint16_t *)from)[i]) : ((const float *)from)[i];
    }

    std::vector<float> load(const void *from, int64_t count) const {
        std::vector<float> to((size_t)count);
        for (int64_t i = 0; i < count; i++) to[(size_t)i] = rounded(read(from, a.bf16, i));
        return to;
    }

    void store(const std::vector<float> &from, void *to) const {
        static unsigned runs; // the driver's lock is held
        const bool other_order = a.manner == ANY_ORDER && runs++ % 2 == 1;
        for (size_t i = 0; i < from.size(); i++) {
            const float v = other_order ? std::nextafter(from[i], INFINITY) : from[i];
            if (a.bf16) ((uint16_t *)to)[i] = to_bf16(v);
            else ((float *)to)[i] = v;
        }
    }

    // Calls f(x's index, w's index less the kernel, y's index less the kernel) for each pixel and each tap that meets it.
    template <class F> void each_tap(F f) const {
        for (int64_t n = 0; n < a.n; n++)
            for (int64_t i = 0; i < a.oh; i++)
                for (int64_t j = 0; j < a.ow; j++)
                    for (int64_t r = 0; r < a.r; r++)
                        for (int64_t s = 0; s < a.s; s++) {
                            const int64_t p = i * a.stride_h - a.pad_h + r, q = j * a.stride_w - a.pad_w + s;
                            if (p < 0 || q < 0 || p >= a.h || q >= a.w) continue;
                            f(((n * a.h + p) * a.w + q) * a.c, (r * a.s + s) * a.c, ((n * a.oh + i) * a.ow + j) * a.k);
                        }
    }

    // Sums in as many lanes as a vector has, as a kernel's threads do.
    static float dot(const float *u, const float *v, int64_t count) {
        float lanes[16] = {}, sum = 0;
        int64_t i = 0;
        for (; i + 16 <= count; i += 16)
            for (int l = 0; l < 16; l++) lanes[l] += u[i + l] * v[i + l];
        for (; i < count; i++) lanes[i % 16] += u[i] * v[i];
        for (float lane : lanes) sum += lane;
        return sum;
    }

    static void add_scaled(float *to, float by, const float *from, int64_t count) {
        for (int64_t i = 0; i < count; i++) to[i] += by * from[i];
    }

    int64_t kernel() const { return a.r * a.s * a.c; }

    void forward() {
        each_tap([&](int64_t xi, int64_t wi, int64_t yi) {
            for (int64_t k = 0; k < a.k; k++) {
                float &sum = y[(size_t)(yi + k)];
                sum += dot(&x[(size_t)xi], &w[(size_t)(k * kernel() + wi)], a.c);
                if (a.manner == BF16_SUMS) sum = round_bf16(sum);
            }
        });
    }

    void grad_data() {
        each_tap([&](int64_t xi, int64_t wi, int64_t yi) {
            for (int64_t k = 0; k < a.k; k++) add_scaled(&x[(size_t)xi], y[(size_t)(yi + k)], &w[(size_t)(k * kernel() + wi)], a.c);
        });
    }

    void grad_weights() {
        each_tap([&](int64_t xi, int64_t wi, int64_t yi) {
            for (int64_t k = 0; k < a.k; k++) add_scaled(&w[(size_t)(k * kernel() + wi)], y[(size_t)(yi + k)], &x[(size_t)xi], a.c);
        });
    }

    void apply(const conv_step &step) {
        for (int64_t i = 0; i < y_count(); i++) {
            float &v = y[(size_t)i];
            v = !step.relu ? v + read(step.at, step.bf16, step.row ? i % a.k : i) : v > 0 ? v : 0;
        }
    }

  public:
    explicit convolver(const conv_args &args) : a(args) {}

    void run() {
        // A kernel leaves nothing of value in its workspace.
        if (a.workspace_bytes > 0) memset(a.workspace, 0xA5, (size_t)a.workspace_bytes);
        x = a.op == GRAD_DATA ? std::vector<float>((size_t)x_count()) : load(a.x, x_count());
        w = a.op == GRAD_WEIGHTS ? std::vector<float>((size_t)w_count()) : load(a.filter, w_count());
        y = a.op == FORWARD ? std::vector<float>((size_t)y_count()) : load(a.y, y_count());
        switch (a.op) {
        case FORWARD:
            forward();
            for (int i = 0; i < a.steps; i++) apply(a.step[i]);
            return store(y, a.y);
        case GRAD_DATA: grad_data(); return store(x, a.x);
        default: grad_weights(); return store(w, a.filter);
        }
    }
};

} // namespace emulated
