// Package simd multiplies and adds rows of numbers with the vector instructions of the processor.
//
// Kernels are C++, built for several instruction sets; the best that the processor has is taken when the program starts. They run on the caller's
// goroutine, which a cgo call occupies: callers share work out, and pass so much of it that a call's 40 ns do not matter and so little
// that cancelling does not wait. Nothing is allocated. Shapes are the caller's word: slices that are too short panic.
package simd

// #cgo CXXFLAGS: -std=c++17 -O3 -fno-exceptions -fno-rtti -fvisibility=hidden -Wall -Wextra -Wno-psabi
// #cgo CFLAGS: -fvisibility=hidden
// #include "simd.h"
// static void dots(const dsl_simd *s, const double *a, int64_t m, const double *b, int64_t n, int64_t dim, double *out, int64_t stride) {
//     s->dots(a, m, b, n, dim, out, stride);
// }
// static void wide_dots(const dsl_simd *s, const float *rows, const int32_t *index, int64_t m, int64_t dim, const double *centres, int64_t k,
//                       double *out) {
//     s->wide_dots(rows, index, m, dim, centres, k, out);
// }
// static void squares_of_floats(const dsl_simd *s, const float *rows, int64_t m, int64_t dim, double *out) {
//     s->squares_of_floats(rows, m, dim, out);
// }
// static void squares_of_doubles(const dsl_simd *s, const double *rows, int64_t m, int64_t dim, double *out) {
//     s->squares_of_doubles(rows, m, dim, out);
// }
// static void add_rows(const dsl_simd *s, const float *rows, int64_t m, int64_t dim, int64_t columns, const int32_t *to, double *sums) {
//     s->add_rows(rows, m, dim, columns, to, sums);
// }
import "C"

import (
	"sync/atomic"
	"unsafe"
)

// Build is the kernels for one instruction set.
type Build struct{ table *C.dsl_simd }

// Builds are those that this processor runs, the best first.
func Builds() []Build {
	var tables [3]*C.dsl_simd
	builds := make([]Build, C.dsl_simd_builds(&tables[0]))
	for i := range builds {
		builds[i].table = tables[i]
	}
	return builds
}

var chosen atomic.Pointer[C.dsl_simd]

func init() { Builds()[0].Use() }

// Use makes all calls from now on run this build's kernels. It is for tests: sums of two builds differ in their last bits.
func (b Build) Use() { chosen.Store(b.table) }

// Name is "avx512", "avx2" or "base".
func (b Build) Name() string { return C.GoString(b.table.name) }

// Dots writes the inner product of each row of a [m, dim] with each row of b [n, dim]: out[i*stride+j] = ⟨a_i, b_j⟩.
//
// Each product is summed from the first component to the last, every operation rounded to float64: it is what the plain loop gives, bit for bit, in
// every build, and does not depend on the rows around it.
func Dots(a, b []float64, dim int, out []float64, stride int) {
	m, n := len(a)/dim, len(b)/dim
	if m == 0 || n == 0 {
		return
	}
	_ = out[(m-1)*stride+n-1]
	C.dots(chosen.Load(), f64(a), C.int64_t(m), f64(b), C.int64_t(n), C.int64_t(dim), f64(out), C.int64_t(stride))
}

// WideDots writes the inner product of each row [m, dim] with each centre [k, dim] in float64: out[i*k+j] = ⟨x_i, c_j⟩.
//
// Each product is summed in the same order whatever m and k are, which is not that of Dots: components of a lane first, then the lanes.
func WideDots(rows []float32, dim int, centres, out []float64) {
	m, k := len(rows)/dim, len(centres)/dim
	if m == 0 || k == 0 {
		return
	}
	_ = out[m*k-1]
	C.wide_dots(chosen.Load(), f32(rows), nil, C.int64_t(m), C.int64_t(dim), f64(centres), C.int64_t(k), f64(out))
}

// WideDotsAt is WideDots of the rows of these numbers with one centre.
func WideDotsAt(rows []float32, index []int32, centre, out []float64) {
	if len(index) == 0 {
		return
	}
	_ = out[len(index)-1]
	check(index, len(rows)/len(centre))
	C.wide_dots(chosen.Load(), f32(rows), i32(index), C.int64_t(len(index)), C.int64_t(len(centre)), f64(centre), 1, f64(out))
}

// Squares writes each row's inner product with itself, the same bits as WideDots gives.
func Squares[T float32 | float64](rows []T, dim int, out []float64) {
	m := len(rows) / dim
	if m == 0 {
		return
	}
	_ = out[m-1]
	switch x := any(rows).(type) {
	case []float32:
		C.squares_of_floats(chosen.Load(), f32(x), C.int64_t(m), C.int64_t(dim), f64(out))
	case []float64:
		C.squares_of_doubles(chosen.Load(), f64(x), C.int64_t(m), C.int64_t(dim), f64(out))
	}
}

// AddRows adds the columns from..to-1 of row i [dim] to those of sum number sum[i] of sums [·, dim], in the order of the rows.
func AddRows(rows []float32, dim, from, to int, sum []int32, sums []float64) {
	if len(sum) > 0 && from < to {
		_ = rows[(len(sum)-1)*dim+to-1]
		check(sum, len(sums)/dim)
		C.add_rows(chosen.Load(), f32(rows[from:]), C.int64_t(len(sum)), C.int64_t(dim), C.int64_t(to-from), i32(sum), f64(sums[from:]))
	}
}

// check panics where a row is not one of n.
func check(index []int32, n int) {
	for _, i := range index {
		if uint(i) >= uint(n) {
			panic("simd: row out of range")
		}
	}
}

func f32(s []float32) *C.float  { return (*C.float)(unsafe.SliceData(s)) }
func f64(s []float64) *C.double { return (*C.double)(unsafe.SliceData(s)) }
func i32(s []int32) *C.int32_t  { return (*C.int32_t)(unsafe.SliceData(s)) }
