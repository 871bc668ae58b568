// The kernels for processors with AVX-512: 16 lanes.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels.h"

#pragma GCC optimize("no-math-errno") // so that square roots are vectors

#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define DSL_LANES 16
#define DSL_ISA avx512
#include "kernels_body.h"
