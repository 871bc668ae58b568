// The kernels for processors with AVX-512.
#if defined(__x86_64__)
#include <string.h>
#include <immintrin.h>

#include "simd.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define DSL_BYTES 64
#define DSL_ISA avx512
#include "simd_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
