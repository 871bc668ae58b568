// Vectors of floats and doubles at any address.

template <class T> struct vector {
    typedef T type __attribute__((vector_size(DSL_BYTES), aligned(sizeof(T)), may_alias));
    static constexpr int lanes = DSL_BYTES / sizeof(T);
};
typedef vector<float>::type vf;
typedef vector<double>::type vd;
typedef float half_vf __attribute__((vector_size(DSL_BYTES / 2), aligned(4), may_alias)); // as many lanes as a vd
constexpr int LANES = vector<double>::lanes;

// The tile of sums that the vector registers hold: 24 of 32, or 12 of 16.
#if DSL_BYTES == 64
constexpr int TILE_ROWS = 8, TILE_VECTORS = 3;
#else
constexpr int TILE_ROWS = 6, TILE_VECTORS = 2;
#endif

// fma is a*b + c, rounded once where the processor can; greater has a bit for each lane of a that is above b's.
#if DSL_BYTES == 64
static inline vf fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vd fma(vd a, vd b, vd c) { return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
static inline uint32_t greater(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
static inline uint32_t greater(vd a, vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GT_OQ); }
#elif DSL_BYTES == 32
static inline vf fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vd fma(vd a, vd b, vd c) { return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
static inline uint32_t greater(vf a, vf b) { return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GT_OQ)); }
static inline uint32_t greater(vd a, vd b) { return (uint32_t)_mm256_movemask_pd(_mm256_cmp_pd((__m256d)a, (__m256d)b, _CMP_GT_OQ)); }
#else
static inline vf fma(vf a, vf b, vf c) { return a * b + c; }
static inline vd fma(vd a, vd b, vd c) { return a * b + c; }
template <class V> static inline uint32_t greater(V a, V b) {
    uint32_t bits = 0;
    for (unsigned l = 0; l < sizeof(V) / sizeof(a[0]); l++) bits |= (uint32_t)(a[l] > b[l]) << l;
    return bits;
}
#endif

static inline vf splat(float v) { return v - vf{}; }
static inline vd splat(double v) { return v - vd{}; }

// LANES numbers as doubles.
static inline vd wide(const double *p) { return *(const vd *)p; }
#if DSL_BYTES == 64 // the compiler would convert quarters and join them
static inline vd wide(const float *p) { return (vd)_mm512_maskz_cvtps_pd((__mmask8)-1, _mm256_loadu_ps(p)); }
#else
static inline vd wide(const float *p) { return __builtin_convertvector(*(const half_vf *)p, vd); }
#endif

// The same of `have` numbers, then zeros.
template <class T> static inline vd wide_some(const T *p, int64_t have) {
    T t[LANES] = {};
    memcpy(t, p, sizeof(T) * (size_t)have);
    return wide(t);
}

// The sum of the lanes, always in this order: halves onto each other.
static inline double sum_lanes(vd v) {
    double t[LANES];
    memcpy(t, &v, sizeof t);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) t[l] += t[l + half];
    return t[0];
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Subnormal numbers are 0 on this thread while there is one of these.
#if defined(__x86_64__)
struct flush_subnormals {
    uint32_t before = _mm_getcsr();
    flush_subnormals() { _mm_setcsr(before | 0x8040); }
    ~flush_subnormals() { _mm_setcsr(before); }
};
#else
struct flush_subnormals {
    flush_subnormals() {}
};
#endif
