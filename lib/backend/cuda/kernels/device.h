// One source for two compilers: clang for the GPU, without a CUDA SDK, and the host's C++17 compiler for the emulated driver.
//
// Kernels are declared by KERNEL(name, parameters...) when their threads never meet, by BLOCK_KERNEL when those of a block do (meet,
// sum_warp ...). Every parameter has 8 bytes: a pointer, i64 or double. Every block has BLOCK threads. Sums of products are written with
// mul_add where they shall be fused: the compilers contract nothing by themselves, so that both give the same bits.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
typedef long long i64;

constexpr int BLOCK = 256, WARP = 32;

#if defined(__CUDA__)

#define DEV static inline __attribute__((device, always_inline))
#define MEMBER inline __attribute__((device, always_inline))
#define SHARED static __attribute__((shared))
#define KERNEL(name, ...) extern "C" __attribute__((global, launch_bounds(BLOCK))) void name(__VA_ARGS__)
#define BLOCK_KERNEL(name, ...) KERNEL(name, __VA_ARGS__)

DEV int thread_id() { return (int)__nvvm_read_ptx_sreg_tid_x(); }
DEV i64 block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEV i64 block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEV i64 grid_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
DEV i64 grid_y() { return __nvvm_read_ptx_sreg_nctaid_y(); }
DEV void meet() { __syncthreads(); }
DEV float lane_xor(float v, int mask) {
    return __builtin_bit_cast(float, __nvvm_shfl_sync_bfly_i32(-1, __builtin_bit_cast(int, v), mask, WARP - 1));
}
DEV float mul_add(float a, float b, float c) { return __nvvm_fma_rn_f(a, b, c); }
DEV double mul_add(double a, double b, double c) { return __nvvm_fma_rn_d(a, b, c); }
DEV float root(float x) { return __nvvm_sqrt_rn_f(x); }
DEV double root(double x) { return __nvvm_sqrt_rn_d(x); }

#else

#include <cmath>
#include "../emulated/doubles/device_host.h"
#include "../emulated/doubles/kernel.h"

#define DEV static inline
#define MEMBER inline
#define SHARED static __attribute__((section("shared_memory")))
#define DECLARE_KERNEL(name, cooperates, ...)                                                                          \
    extern "C" void name(__VA_ARGS__);                                                                                 \
    static const emulated::registration name##_registration(#name, cooperates, name);                                  \
    extern "C" void name(__VA_ARGS__)
#define KERNEL(name, ...) DECLARE_KERNEL(name, false, __VA_ARGS__)
#define BLOCK_KERNEL(name, ...) DECLARE_KERNEL(name, true, __VA_ARGS__)

DEV int thread_id() { return emulated::here.thread; }
DEV i64 block_x() { return emulated::here.block_x; }
DEV i64 block_y() { return emulated::here.block_y; }
DEV i64 grid_x() { return emulated::here.grid_x; }
DEV i64 grid_y() { return emulated::here.grid_y; }
DEV void meet() { emulated::barrier(); }
DEV float lane_xor(float v, int mask) { return emulated::exchange(v, mask); }
DEV float mul_add(float a, float b, float c) { return std::fma(a, b, c); }
DEV double mul_add(double a, double b, double c) { return std::fma(a, b, c); }
DEV float root(float x) { return std::sqrt(x); }
DEV double root(double x) { return std::sqrt(x); }

#endif

DEV i64 smaller(i64 a, i64 b) { return a < b ? a : b; }
DEV i64 larger(i64 a, i64 b) { return a > b ? a : b; }
DEV i64 divide_up(i64 a, i64 b) { return (a + b - 1) / b; }
DEV float zero_below(float v) { return v < 0 ? 0 : v; } // a NaN stays one

// ---- element types ----

struct bf16 {
    u16 bits;
};

DEV float to_float(float v) { return v; }
DEV float to_float(bf16 v) { return __builtin_bit_cast(float, (u32)v.bits << 16); }

DEV void assign(float &to, float v) { to = v; }
// To nearest, ties to even; all NaNs become 0x7fff, as in the GPU's own conversion.
DEV void assign(bf16 &to, float v) {
    u32 u = __builtin_bit_cast(u32, v);
    to.bits = (u16)(v != v ? 0x7fff : (u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

// ---- accesses of 16 bytes ----

typedef u32 quad __attribute__((vector_size(16), may_alias));

// Elements of T in a 16-byte access, and a number as a type, for generic lambdas.
template <class T> constexpr int WIDE = 16 / (int)sizeof(T);
template <int W> struct width {
    static constexpr int value = W;
};

DEV void unpack(quad q, float (&v)[4]) {
    for (int i = 0; i < 4; i++) v[i] = __builtin_bit_cast(float, (u32)q[i]);
}
DEV void unpack(quad q, float (&v)[8]) {
    for (int i = 0; i < 4; i++) {
        v[2 * i] = __builtin_bit_cast(float, (u32)q[i] << 16);
        v[2 * i + 1] = __builtin_bit_cast(float, (u32)q[i] & 0xffff0000u);
    }
}
DEV u32 two(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#else
    bf16 l, h;
    assign(l, low), assign(h, high);
    return (u32)l.bits | (u32)h.bits << 16;
#endif
}

// Loads and stores W elements at once: W = 1, or p is aligned to 16 bytes and W elements are a multiple of them.
template <int W> DEV void load(const float *p, float (&v)[W]) {
    if constexpr (W % 4 == 0) {
        for (int j = 0; j < W / 4; j++) {
            float part[4];
            unpack(((const quad *)p)[j], part);
            for (int i = 0; i < 4; i++) v[4 * j + i] = part[i];
        }
    } else {
        for (int i = 0; i < W; i++) v[i] = p[i];
    }
}
template <int W> DEV void load(const bf16 *p, float (&v)[W]) {
    if constexpr (W == 8) unpack(*(const quad *)p, v);
    else
        for (int i = 0; i < W; i++) v[i] = to_float(p[i]);
}
template <int W> DEV void store(float *p, const float (&v)[W]) {
    if constexpr (W % 4 == 0) {
        for (int j = 0; j < W / 4; j++) {
            quad q = {};
            for (int i = 0; i < 4; i++) q[i] = __builtin_bit_cast(u32, v[4 * j + i]);
            ((quad *)p)[j] = q;
        }
    } else {
        for (int i = 0; i < W; i++) p[i] = v[i];
    }
}
template <int W> DEV void store(bf16 *p, const float (&v)[W]) {
    if constexpr (W == 8) {
        quad q = {};
        for (int i = 0; i < 4; i++) q[i] = two(v[2 * i], v[2 * i + 1]);
        *(quad *)p = q;
    } else {
        for (int i = 0; i < W; i++) assign(p[i], v[i]);
    }
}

// The same for bytes: one access of W bytes, 1, 4 or 8.
template <int W> struct bytes;
template <> struct bytes<1> {
    typedef u8 word;
};
template <> struct bytes<4> {
    typedef u32 word __attribute__((may_alias));
};
template <> struct bytes<8> {
    typedef u64 word __attribute__((may_alias));
};
template <int W> DEV void load_bytes(const u8 *p, u8 (&v)[W]) {
    typename bytes<W>::word all = *(const typename bytes<W>::word *)p;
    for (int i = 0; i < W; i++) v[i] = (u8)(all >> 8 * i);
}
template <int W> DEV void store_bytes(u8 *p, const u8 (&v)[W]) {
    typename bytes<W>::word all = 0;
    for (int i = 0; i < W; i++) all |= (typename bytes<W>::word)v[i] << 8 * i;
    *(typename bytes<W>::word *)p = all;
}

template <class... P> DEV bool aligned(const P *...p) { return ((... | (u64)p) & 15) == 0; }

// ---- walks ----

// The first item of this thread and the stride of the grid, for loops over items in any grid.
DEV i64 first_item() { return block_x() * BLOCK + thread_id(); }
DEV i64 all_threads() { return grid_x() * BLOCK; }

// Calls f(index, width) for all n elements of T, 16 bytes at a time where that is possible. For any grid.
template <class T, class F> DEV void each(i64 n, bool wide, F f) {
    constexpr int W = WIDE<T>;
    const i64 packs = wide ? n / W : 0;
    for (i64 i = first_item(); i < packs; i += all_threads()) f(i * W, width<W>());
    for (i64 i = packs * W + first_item(); i < n; i += all_threads()) f(i, width<1>());
}

// A block as a rectangle of threads: `across` over packs of W channels, `down` over rows. Thread (x, y) sees the same channels in all
// of its rows, so that what belongs to a channel is loaded once.
template <int W> struct lanes {
    int across = 1, down, x, y;
    i64 packs;
    MEMBER explicit lanes(i64 c) : packs(c / W) {
        while (across < WARP && across < packs) across *= 2;
        down = BLOCK / across;
        x = thread_id() % across, y = thread_id() / across;
    }
    // Calls f(channel) for this thread's channels in the block's column of the grid, f(-1) where there are none left for it, so that all
    // threads come to the meetings in f.
    template <class F> MEMBER void columns(F f) const {
        for (i64 g = block_y() * across; g < packs; g += grid_y() * across) f(g + x < packs ? (g + x) * W : -1);
    }
};

// Calls f(width, lanes) for c channels of T, in packs of 16 bytes if they are whole packs at aligned addresses.
template <class T, class F> DEV void by_channels(i64 c, bool wide, F f) {
    if (wide && c % WIDE<T> == 0) f(width<WIDE<T>>(), lanes<WIDE<T>>(c));
    else f(width<1>(), lanes<1>(c));
}

// Rows of this block when n rows are cut into equal parts, one per block along x.
struct rows {
    i64 from, to;
};
DEV rows part(i64 n) {
    const i64 size = divide_up(n, grid_x()), from = smaller(n, block_x() * size);
    return {from, smaller(n, from + size)};
}

// ---- sums in a fixed order ----

// Sums v over the threads of a block that see the same channels; the result is thread (x, 0)'s.
template <int W> DEV void sum_down(const lanes<W> &l, float (&v)[W]) {
    SHARED float room[W][BLOCK];
    const int t = thread_id();
    for (int half = l.down / 2; half > 0; half /= 2) {
        meet();
        if (l.y >= half && l.y < 2 * half)
            for (int i = 0; i < W; i++) room[i][t] = v[i];
        meet();
        if (l.y < half)
            for (int i = 0; i < W; i++) v[i] += room[i][t + half * l.across];
    }
}

DEV float sum_warp(float v) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) v += lane_xor(v, mask);
    return v;
}

// The sum over the block, for all its threads.
DEV float sum_block(float v) {
    SHARED float room[BLOCK / WARP];
    v = sum_warp(v);
    meet();
    if (thread_id() % WARP == 0) room[thread_id() / WARP] = v;
    meet();
    v = 0;
    for (int w = 0; w < BLOCK / WARP; w++) v += room[w];
    return v;
}

// The second half of a sum over rows: a block sums the parts of eight channels in double precision, 32 threads to a channel, so that
// reads of neighbouring channels fill whole sectors of memory.
constexpr int FINISH_CHANNELS = 8, FINISH_GROUPS = BLOCK / FINISH_CHANNELS;
struct finish {
    int first; // the first part of this thread, then every FINISH_GROUPS-th
    i64 channel;
    MEMBER finish() : first(thread_id() / FINISH_CHANNELS), channel(block_x() * FINISH_CHANNELS + thread_id() % FINISH_CHANNELS) {}
};
// The sum over the channel's threads, for all of them.
DEV double sum_channel(const finish &f, double v) {
    SHARED double room[BLOCK];
    const int t = thread_id();
    meet();
    room[t] = v;
    for (int half = FINISH_GROUPS / 2; half > 0; half /= 2) {
        meet();
        if (f.first < half) room[t] += room[t + half * FINISH_CHANNELS];
    }
    meet();
    return room[t % FINISH_CHANNELS];
}
