// One source for two compilers: clang for the GPU, without a CUDA SDK, and the host's C++17 compiler for the emulated driver.
//
// Kernels are declared by KERNEL(name, parameters...) when their threads never meet, by BLOCK_KERNEL when those of a block do (meet,
// warp_sum ...). Every parameter has 8 bytes: a pointer, i64 or double. Every block has BLOCK threads. Sums of products are written with
// mul_add where they shall be fused: the compilers contract nothing by themselves.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

constexpr int BLOCK = 256, WARP = 32;

#if defined(__CUDA__)

#define DEV static inline __attribute__((device, always_inline))
#define SHARED static __attribute__((shared))
#define KERNEL(name, ...) extern "C" __attribute__((global, launch_bounds(BLOCK))) void name(__VA_ARGS__)
#define BLOCK_KERNEL(name, ...) KERNEL(name, __VA_ARGS__)

DEV int thread_id() { return (int)__nvvm_read_ptx_sreg_tid_x(); }
DEV i64 block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEV i64 block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEV i64 grid_x() { return __nvvm_read_ptx_sreg_nctaid_x(); }
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
#define SHARED static
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
DEV void meet() { emulated::barrier(); }
DEV float lane_xor(float v, int mask) { return emulated::exchange(v, mask); }
DEV float mul_add(float a, float b, float c) { return std::fma(a, b, c); }
DEV double mul_add(double a, double b, double c) { return std::fma(a, b, c); }
DEV float root(float x) { return std::sqrt(x); }
DEV double root(double x) { return std::sqrt(x); }

#endif

// The first item of this thread and the stride of the grid, for loops over n items in any grid.
DEV i64 first_item() { return block_x() * BLOCK + thread_id(); }
DEV i64 all_threads() { return grid_x() * BLOCK; }

// ---- element types ----

struct bf16 {
    u16 bits;
};

DEV float to_float(float v) { return v; }
DEV float to_float(bf16 v) { return __builtin_bit_cast(float, (u32)v.bits << 16); }

template <class T> struct rounded;
template <> struct rounded<float> {
    DEV float from(float v) { return v; }
};
template <> struct rounded<bf16> {
    // To nearest, ties to even; a NaN stays one.
    DEV bf16 from(float v) {
        u32 u = __builtin_bit_cast(u32, v);
        if ((u & 0x7fffffffu) > 0x7f800000u) return {(u16)(u >> 16 | 0x40)};
        return {(u16)((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
    }
};
