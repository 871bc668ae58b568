// The weights of DSL_STEM. A value of the convolution is Σ w·(p/255 − mean)/std = Σ w/(255·LEVELS·std) · X in integers X = LEVELS·p − 255·LEVELS·mean, and
// w/(255·LEVELS·std) = step·W in integers W of 16 bits, small enough that no sum leaves 32.
#include "int8.h"
#include "onednn.h"

#include <algorithm>
#include <cmath>

// The step of a channel's weights by the order of memory, w[i] of pixel channel i % 3, whose X are at most largest[i % 3].
static double step_of(const std::vector<double> &w, const double largest[3]) {
    double most = 0, sum = 0, rounding = 0;
    for (size_t i = 0; i < w.size(); i++) {
        most = std::max(most, std::fabs(w[i]));
        sum += std::fabs(w[i]) * largest[i % 3];
        rounding += largest[i % 3] / 2;
    }
    const double step = std::max(most / INT16_MAX, sum / (INT32_MAX - rounding));
    return step > 0 ? step : 1;
}

static void pack(const dsl_int8_stem &s, int16_t *weights, float *scale, float *shift) {
    const dsl_kernel &k = s.kernel;
    const size_t r = (size_t)k.kernel, row = 3 * r, pairs = (size_t)dsl_stem_pairs(&k), block = DSL_STEM_CHANNELS;
    double unit[3], largest[3];
    for (int c = 0; c < 3; c++) {
        unit[c] = 255. * DSL_STEM_LEVELS * (double)k.std[c];
        largest[c] = 255. * DSL_STEM_LEVELS * std::max((double)k.mean[c], 1 - (double)k.mean[c]) + 1; // rounded
    }
    std::vector<double> w(r * row);
    for (size_t o = 0; o < (size_t)k.c; o++) {
        for (size_t i = 0; i < w.size(); i++) w[i] = (double)s.weights[o * w.size() + i] / unit[i % 3];
        const double step = step_of(w, largest);
        int16_t *to = weights + o / block * r * pairs * block * 2 + o % block * 2;
        for (size_t i = 0; i < w.size(); i++) to[(i / row * pairs + i % row / 2) * block * 2 + i % row % 2] = (int16_t)std::lrint(w[i] / step);
        scale[o] = (float)(step / (double)s.y_step);
        shift[o] = s.bias ? s.bias[o] / s.y_step : 0;
    }
}

int dsl_program_int8_stem(dsl_program *p, const dsl_int8_stem *stem) {
    return guard("onednn: first convolution in integers", [=] {
        const dsl_int8_stem s = *stem;
        dsl_kernel k = s.kernel;
        const size_t channels = (size_t)k.c, bytes = channels * (size_t)k.kernel * (size_t)dsl_stem_pairs(&k) * 2 * sizeof(int16_t);
        int16_t *weights = (int16_t *)p->buffer(bytes);
        std::fill_n(weights, bytes / sizeof(int16_t), (int16_t)0);
        float *scale = (float *)p->buffer(channels * sizeof(float)), *shift = (float *)p->buffer(channels * sizeof(float));
        k.kind = DSL_STEM, k.in[1] = weights, k.in[2] = scale, k.in[3] = shift;
        p->push_pack(s.pack_step, [=] { pack(s, weights, scale, shift); });
        p->push_kernel(DSL_FORWARD, s.step, k);
    });
}
