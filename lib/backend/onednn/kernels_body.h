// All kernels for one instruction set, in a namespace of its own. Included by kernels_<isa>.cpp after every other header, so that nothing
// but these kernels is compiled for that instruction set.
namespace DSL_ISA {

constexpr int LANES = DSL_LANES;

// Vectors of LANES floats or ints, and the same at any address.
typedef float vf __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * LANES), may_alias));
typedef float vfu __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// The vector types of a layout: LANES lanes or one.
template <int L> struct types {
    typedef vf F;
    typedef vi I;
};
template <> struct types<1> {
    typedef float F;
    typedef int32_t I;
};

// Bytes to ints and back, as loops that the compiler makes one instruction of; its vector conversion takes the lanes one by one.
template <int L> static inline typename types<L>::I load_bytes(const uint8_t *p) {
    int32_t t[L];
    for (int l = 0; l < L; l++) t[l] = p[l];
    typename types<L>::I v;
    memcpy(&v, t, sizeof v);
    return v;
}
template <int L> static inline void store_bytes(uint8_t *p, typename types<L>::I v) {
    int32_t t[L];
    memcpy(t, &v, sizeof v);
    for (int l = 0; l < L; l++) p[l] = (uint8_t)t[l];
}

template <class V> static inline V zero_below(V v) { return v > V{} ? v : V{}; }
template <class V> static inline V where_positive(V y, V v) { return y > V{} ? v : V{}; }

static inline float sum_lanes(float v) { return v; }
static inline float sum_lanes(vf v) {
    float s = 0;
    for (int l = 0; l < LANES; l++) s += v[l];
    return s;
}

// Adds the lanes of v to dst.
static inline void add_lanes(double *dst, float v) { dst[0] += (double)v; }
static inline void add_lanes(double *dst, vf v) {
    for (int l = 0; l < LANES; l++) dst[l] += (double)v[l];
}

// Channels of block cb of a tensor with c channels: the valid lanes.
static inline int valid(int c, int cb, int lanes) { return c - cb * lanes < lanes ? c - cb * lanes : lanes; }

// Loads `have` floats at any address; the other lanes are zero.
template <class V> static inline V load_some(const float *p, int have) {
    V v = {};
    memcpy(&v, p, sizeof(float) * (size_t)have);
    return v;
}

struct range {
    int64_t from, to;
};

// The calling thread's share of n items in units of 16, the same in every run.
static inline range share(int64_t n) {
    int64_t units = (n + 15) / 16, threads = omp_get_num_threads(), t = omp_get_thread_num();
    int64_t from = units * t / threads * 16, to = units * (t + 1) / threads * 16;
    return {from, to < n ? to : n};
}

// A run short enough for float sums and for the first-level cache.
constexpr int RUN = 64;

#include "kernels_elementwise.h"
#include "kernels_norm.h"
#include "kernels_pool.h"
#include "kernels_stem.h"
#include "kernels_weights.h"
#include "kernels_winograd.h"

// Calls the version for the tensor's lanes.
#define DSL_BOTH(name)                                                                                                                 \
    static void name(const dsl_kernel *k, const dsl_args *) { k->lanes == 1 ? name##_l<1>(k) : name##_l<LANES>(k); }
DSL_BOTH(batch_norm)
DSL_BOTH(batch_norm_grad)
DSL_BOTH(max_pool)
DSL_BOTH(max_pool_grad)
DSL_BOTH(pool)
DSL_BOTH(pool_grad)
DSL_BOTH(channel_sum)
#undef DSL_BOTH

} // namespace DSL_ISA

#define DSL_JOIN(a, b) a##b
#define DSL_TABLE(isa) DSL_JOIN(dsl_kernels_, isa)

extern "C" const dsl_kernel_fn DSL_TABLE(DSL_ISA)[DSL_NUM_KERNELS] = {
    DSL_ISA::normalize,      DSL_ISA::scale_weights, DSL_ISA::scale_weights_grad, DSL_ISA::shift_bias,     DSL_ISA::shift_bias_grad,
    DSL_ISA::batch_norm,     DSL_ISA::batch_norm_grad, DSL_ISA::update_running,   DSL_ISA::relu,           DSL_ISA::relu_grad,
    DSL_ISA::add,            DSL_ISA::max_pool,      DSL_ISA::max_pool_grad,      DSL_ISA::sigmoid,        DSL_ISA::sigmoid_grad,
    DSL_ISA::pool,           DSL_ISA::pool_grad,     DSL_ISA::dropout,            DSL_ISA::column_sum,     DSL_ISA::fill_rows,
    DSL_ISA::channel_sum,    DSL_ISA::adam,          DSL_ISA::stem,           DSL_ISA::winograd_weights,
};
