// The passes for processors with AVX2: two rows in a vector.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "resample.h"

#define DSL_ISA avx2
#define DSL_ROWS 2
#define DSL_TARGET __attribute__((target("avx2")))

typedef int32_t ints __attribute__((vector_size(32)));
typedef __m256i pixels, pairs;

DSL_TARGET static inline pixels load(const uint8_t *src, const int64_t *offset) {
    __m128i a = _mm_loadu_si128((const __m128i *)(src + offset[0])),
            b = _mm_loadu_si128((const __m128i *)(src + offset[1]));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
}

// Rearranges the 16 bytes of each row; -1 is a zero.
#define SHUFFLE(v, ...) _mm256_shuffle_epi8(v, _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__)))
#define pair(p, j)                                                                                                     \
    SHUFFLE(p, 6 * j, -1, 6 * j + 3, -1, 6 * j + 1, -1, 6 * j + 4, -1, 6 * j + 2, -1, 6 * j + 5, -1, -1, -1, -1, -1)

DSL_TARGET static inline ints add_products(ints sum, pairs p, int32_t w) {
    return sum + (ints)_mm256_madd_epi16(p, _mm256_set1_epi32(w));
}

DSL_TARGET static inline void store(uint8_t *dst, const int64_t *offset, const ints *v) {
    __m256i words = _mm256_packus_epi32((__m256i)v[0], (__m256i)v[1]),
            more = _mm256_packus_epi32((__m256i)v[2], (__m256i)v[3]);
    __m256i bytes = _mm256_packus_epi16(words, more);
    bytes = SHUFFLE(bytes, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    _mm_storeu_si128((__m128i *)(dst + offset[0]), _mm256_castsi256_si128(bytes));
    _mm_storeu_si128((__m128i *)(dst + offset[1]), _mm256_extracti128_si256(bytes, 1));
}

#include "resample_body.h"
#endif
