// The kernels for processors with AVX2 and FMA.
#if defined(__x86_64__)
#include <string.h>
#include <immintrin.h>

#include "simd.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define DSL_BYTES 32
#define DSL_ISA avx2
#include "simd_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
