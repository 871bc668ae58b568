// The kernels for processors with AVX2: 8 lanes.
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels.h"

#pragma GCC optimize("no-math-errno") // so that square roots are vectors

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#define DSL_PRODUCTS(x, w) (vi) _mm256_madd_epi16((__m256i)(x), (__m256i)(w))
#endif
#define DSL_LANES 8
#define DSL_ISA avx2
#include "kernels_body.h"
