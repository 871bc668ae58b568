#include "simd.h"

int dsl_simd_builds(const dsl_simd *out[3]) {
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        out[n++] = &dsl_simd_avx512;
    if (avx2) out[n++] = &dsl_simd_avx2;
#endif
    out[n++] = &dsl_simd_base;
    return n;
}
