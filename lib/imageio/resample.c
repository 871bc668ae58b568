#include "resample.h"

#include <stddef.h>

const dsl_resampler *dsl_resampler_for(int i) {
    const dsl_resampler *can[3];
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni"))
        can[n++] = &dsl_resampler_avx512;
    if (__builtin_cpu_supports("avx2"))
        can[n++] = &dsl_resampler_avx2;
#endif
    can[n++] = &dsl_resampler_base;
    return i < n ? can[i] : NULL;
}
