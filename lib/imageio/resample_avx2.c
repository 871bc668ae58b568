// The passes for processors with AVX2: two rows in a vector.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "resample.h"

#define DSL_ISA avx2
#define DSL_ROWS 2
#define DSL_TARGET __attribute__((target("avx2")))

typedef int32_t ints __attribute__((vector_size(32)));
typedef __m256i pixels;

DSL_TARGET static inline pixels load(const uint8_t *src, const int64_t *offset) {
    __m128i a = _mm_loadu_si128((const __m128i *)(src + offset[0])),
            b = _mm_loadu_si128((const __m128i *)(src + offset[1]));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

// Bytes of each row's 16 as four int32; -1 is a zero.
#define SHUFFLE(v, ...) _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__)))
#define pick(p, j) ((ints)SHUFFLE(p, 3 * j, -1, -1, -1, 3 * j + 1, -1, -1, -1, 3 * j + 2, -1, -1, -1, -1, -1, -1, -1))

DSL_TARGET static inline void store(uint8_t *dst, const int64_t *offset, ints v) {
    pixels packed = SHUFFLE((pixels)v, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    ints pixel = (ints)packed;
    for (int r = 0; r < DSL_ROWS; r++)
        memcpy(dst + offset[r], (int32_t[]){pixel[4 * r]}, 4);
}

#include "resample_body.h"
#endif
