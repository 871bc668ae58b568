// Kernels over rows of numbers, built once per instruction set from simd_body.h. Rows lie one behind the other.
#ifndef DSL_SIMD_H
#define DSL_SIMD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A row whose score with a query is above what the query asks.
typedef struct {
    float score;
    int32_t query, row;
} dsl_hit32;
typedef struct {
    double score;
    int32_t query, row;
} dsl_hit64;

typedef struct {
    const char *name;
    int32_t bytes; // of a vector

    // out[i*stride + j] = sum of a_i[c] * b_j[c], c from 0 to dim-1, each product and each sum rounded.
    void (*dots)(const double *a, int64_t m, const double *b, int64_t n, int64_t dim, double *out, int64_t stride);

    // out[i*k + j] is the product of row i, or row index[i] where index is not null, with centre j.
    void (*wide_dots)(const float *rows, const int32_t *index, int64_t m, int64_t dim, const double *centres, int64_t k, double *out);

    // out[i] is the product of row i with itself, the same bits as wide_dots gives.
    void (*squares_of_floats)(const float *rows, int64_t m, int64_t dim, double *out);
    void (*squares_of_doubles)(const double *rows, int64_t m, int64_t dim, double *out);

    // Adds the first columns of row i to the sum of number to[i]; rows and sums are dim apart.
    void (*add_rows)(const float *rows, int64_t m, int64_t dim, int64_t columns, const int32_t *to, double *sums);

    // Turns n rows into vectors of components, [vectors of rows][dim][lanes]; lanes without a row are zero.
    void (*turn32)(const float *rows, int64_t n, int64_t dim, float *turned);
    void (*turn64)(const float *rows, int64_t n, int64_t dim, double *turned);

    // The scores of m rows with the turned queries, <query, row> - less[row] (less may be null), that are greater than the query's asked[query].
    // asked fills whole vectors. In the order of the rows; returns how many. The product in float32 takes subnormal numbers for 0.
    int64_t (*above32)(const float *rows, int64_t m, int64_t dim, const float *turned, int64_t vectors, const float *less, const float *asked,
                       dsl_hit32 *hits);
    int64_t (*above64)(const float *rows, int64_t m, int64_t dim, const double *turned, int64_t vectors, const double *less, const double *asked,
                       dsl_hit64 *hits);
} dsl_simd;

extern const dsl_simd dsl_simd_base, dsl_simd_avx2, dsl_simd_avx512;

// The builds that this processor runs, the best first.
int dsl_simd_builds(const dsl_simd *out[3]);

#ifdef __cplusplus
}
#endif
#endif
