// The kernels for processors with AVX2: 8 lanes.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels.h"

#pragma GCC optimize("no-math-errno") // so that square roots are vectors

#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#endif
#define DSL_LANES 8
#define DSL_ISA avx2
#include "kernels_body.h"
