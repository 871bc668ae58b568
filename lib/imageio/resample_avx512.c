// The passes for processors with AVX-512 and its dot products (VNNI): four rows in a vector.
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#include "resample.h"

#define DSL_ISA avx512
#define DSL_ROWS 4
#define DSL_TARGET __attribute__((target("avx512f,avx512bw,avx512vnni")))

typedef int32_t ints __attribute__((vector_size(64)));
typedef __m512i pixels, pairs;

DSL_TARGET static inline __m256i load_pair(const uint8_t *a, const uint8_t *b) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

DSL_TARGET static inline pixels load(const uint8_t *src, const int64_t *offset) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load_pair(src + offset[0], src + offset[1])),
                              load_pair(src + offset[2], src + offset[3]), 1);
}

// Rearranges the 16 bytes of each row; -1 is a zero.
#define SHUFFLE(v, ...) _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_setr_epi8(__VA_ARGS__)))
#define pair(p, j)                                                                                                     \
    SHUFFLE(p, 6 * j, -1, 6 * j + 3, -1, 6 * j + 1, -1, 6 * j + 4, -1, 6 * j + 2, -1, 6 * j + 5, -1, -1, -1, -1, -1)

DSL_TARGET static inline ints add_products(ints sum, pairs p, int32_t w) {
    return (ints)_mm512_dpwssd_epi32((__m512i)sum, p, _mm512_set1_epi32(w));
}

DSL_TARGET static inline void store(uint8_t *dst, const int64_t *offset, const ints *v) {
    __m512i words = _mm512_packus_epi32((__m512i)v[0], (__m512i)v[1]),
            more = _mm512_packus_epi32((__m512i)v[2], (__m512i)v[3]);
    __m512i bytes = _mm512_packus_epi16(words, more);
    bytes = SHUFFLE(bytes, 0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    _mm_storeu_si128((__m128i *)(dst + offset[0]), _mm512_castsi512_si128(bytes));
    _mm_storeu_si128((__m128i *)(dst + offset[1]), _mm512_extracti32x4_epi32(bytes, 1));
    _mm_storeu_si128((__m128i *)(dst + offset[2]), _mm512_extracti32x4_epi32(bytes, 2));
    _mm_storeu_si128((__m128i *)(dst + offset[3]), _mm512_extracti32x4_epi32(bytes, 3));
}

#include "resample_body.h"
#endif
