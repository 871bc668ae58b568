// All kernels for one instruction set, in a namespace of its own: DSL_ISA, with vectors of DSL_BYTES. Included by simd_<isa>.cpp after every other
// header, so that nothing but these kernels is compiled for that instruction set.

// Products and sums are rounded one by one, but where fma says otherwise.
#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif

namespace DSL_ISA {

#include "simd_vector.h"
#include "simd_dots.h"
#include "simd_rows.h"
#include "simd_above.h"

} // namespace DSL_ISA

#define DSL_JOIN(a, b) a##b
#define DSL_TABLE(isa) DSL_JOIN(dsl_simd_, isa)
#define DSL_TEXT(a) #a
#define DSL_NAME(isa) DSL_TEXT(isa)

extern "C" const dsl_simd DSL_TABLE(DSL_ISA) = {
    DSL_NAME(DSL_ISA),           DSL_BYTES,         DSL_ISA::dots,   DSL_ISA::wide_dots, DSL_ISA::squares_of_floats,
    DSL_ISA::squares_of_doubles, DSL_ISA::add_rows, DSL_ISA::turn32, DSL_ISA::turn64,    DSL_ISA::above32,
    DSL_ISA::above64,
};
