// Pixels at the edge of the network.
#include "device.h"

// y = (pixel/255 − mean)/std, from a table of the 3·256 values that there are, made by each block in double precision.
struct pixel_table {
    const float (*of)[256];
};
DEV pixel_table make_table(const double (&mean)[3], const double (&std)[3]) {
    SHARED float table[3][256];
    for (int ch = 0; ch < 3; ch++) table[ch][thread_id()] = (float)(((double)thread_id() / 255 - mean[ch]) / std[ch]);
    meet();
    return {table};
}

// Twelve bytes at a time are four pixels of three channels: 1 + T bytes per channel.
template <class T> DEV void normalize_dense(pixel_table table, const u8 *x, T *y, i64 pixels) {
    const i64 groups = aligned(y) && (u64)x % 4 == 0 ? pixels / 4 : 0;
    for (i64 g = first_item(); g < groups; g += all_threads()) {
        float v[12];
        for (int j = 0; j < 3; j++) {
            u8 p[4];
            load_bytes(x + g * 12 + j * 4, p);
            for (int i = 0; i < 4; i++) v[j * 4 + i] = table.of[(j * 4 + i) % 3][p[i]];
        }
        store(y + g * 12, v);
    }
    for (i64 i = groups * 12 + first_item(); i < pixels * 3; i += all_threads()) assign(y[i], table.of[i % 3][x[i]]);
}

// Three channels of `padded`, the rest zero: 3 + padded·T bytes per pixel, stored 16 bytes at a time where a pixel has so many.
template <class T> DEV void normalize_padded(pixel_table table, const u8 *x, T *y, i64 pixels, i64 padded) {
    constexpr int W = WIDE<T>;
    const bool wide = aligned(y) && padded % W == 0;
    for (i64 p = first_item(); p < pixels; p += all_threads()) {
        float v[W] = {};
        for (int ch = 0; ch < 3; ch++) v[ch] = table.of[ch][x[p * 3 + ch]];
        T *to = y + p * padded;
        if (wide) {
            store(to, v);
            float none[W] = {};
            for (i64 ch = W; ch < padded; ch += W) store(to + ch, none);
        } else {
            for (i64 ch = 0; ch < padded; ch++) assign(to[ch], ch < 3 ? v[ch] : 0);
        }
    }
}

template <class T>
DEV void normalize(const u8 *x, T *y, const double (&mean)[3], const double (&std)[3], i64 pixels, i64 padded) {
    const pixel_table table = make_table(mean, std);
    if (padded == 3) normalize_dense(table, x, y, pixels);
    else normalize_padded(table, x, y, pixels, padded);
}
BLOCK_KERNEL(normalize_f32, const u8 *x, float *y, double mean0, double mean1, double mean2, double std0, double std1, double std2, i64 pixels,
             i64 padded) {
    normalize(x, y, {mean0, mean1, mean2}, {std0, std1, std2}, pixels, padded);
}
BLOCK_KERNEL(normalize_bf16, const u8 *x, bf16 *y, double mean0, double mean1, double mean2, double std0, double std1, double std2, i64 pixels,
             i64 padded) {
    normalize(x, y, {mean0, mean1, mean2}, {std0, std1, std2}, pixels, padded);
}
