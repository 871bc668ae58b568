// The kernels for processors with AVX-512: 16 lanes.
#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels.h"

#pragma GCC optimize("no-math-errno") // so that square roots are vectors

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#define DSL_PRODUCTS(x, w) (vi) _mm512_madd_epi16((__m512i)(x), (__m512i)(w))
#endif
#define DSL_LANES 16
#define DSL_ISA avx512
#include "kernels_body.h"
