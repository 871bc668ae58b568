package simd

// #include "simd.h"
// static void turn32(const dsl_simd *s, const float *rows, int64_t n, int64_t dim, float *turned) { s->turn32(rows, n, dim, turned); }
// static void turn64(const dsl_simd *s, const float *rows, int64_t n, int64_t dim, double *turned) { s->turn64(rows, n, dim, turned); }
// static int64_t above32(const dsl_simd *s, const float *rows, int64_t m, int64_t dim, const float *turned, int64_t vectors, const float *less,
//                        const float *asked, dsl_hit32 *hits) {
//     return s->above32(rows, m, dim, turned, vectors, less, asked, hits);
// }
// static int64_t above64(const dsl_simd *s, const float *rows, int64_t m, int64_t dim, const double *turned, int64_t vectors, const double *less,
//                        const double *asked, dsl_hit64 *hits) {
//     return s->above64(rows, m, dim, turned, vectors, less, asked, hits);
// }
import "C"

import (
	"math"
	"unsafe"
)

// Hit is a row whose score with a query is above what the query asks. C's structs have the same layout.
type Hit[T float32 | float64] struct {
	Score      T
	Query, Row int32
}

// Queries are rows that others are compared with, in float32 or float64. The zero value is ready for Turn. They have one user at a time.
type Queries[T float32 | float64] struct {
	Asked       []T // [n], each query's bound: −Inf after Turn
	dim         int
	turned, all []T // all: Asked, and +Inf for the lanes without a query
}

// Turn takes n queries [n, dim], reusing memory.
func (q *Queries[T]) Turn(rows []float32, dim int) {
	n := len(rows) / dim
	lanes := int(chosen.Load().bytes) / int(unsafe.Sizeof(T(0)))
	padded := (n + lanes - 1) / lanes * lanes
	if cap(q.turned) < padded*dim {
		q.turned = make([]T, padded*dim)
	}
	if cap(q.all) < padded {
		q.all = make([]T, padded)
	}
	q.dim, q.turned, q.all = dim, q.turned[:padded*dim], q.all[:padded]
	q.Asked = q.all[:n]
	for i := range q.all {
		q.all[i] = T(math.Inf(-1))
		if i >= n {
			q.all[i] = T(math.Inf(1))
		}
	}
	if n == 0 {
		return
	}
	switch turned := any(q.turned).(type) {
	case []float32:
		C.turn32(chosen.Load(), f32(rows), C.int64_t(n), C.int64_t(dim), f32(turned))
	case []float64:
		C.turn64(chosen.Load(), f32(rows), C.int64_t(n), C.int64_t(dim), f64(turned))
	}
}

// Above returns the scores ⟨query, row⟩ − less[row] of rows [m, dim] that are greater than their query's Asked, each query's in the order of the rows. less may be
// nil, for zeros. hits is the memory for them: it must have room for all pairs, or Above panics.
//
// A product is summed from the first component to the last, whatever the rows around it. In float64 it is what the plain loop over widened numbers gives, bit for bit: products of two
// float32 are exact there. In float32 subnormal numbers count as 0.
func (q *Queries[T]) Above(rows []float32, less []T, hits []Hit[T]) []Hit[T] {
	m := len(rows) / q.dim
	if m == 0 || len(q.Asked) == 0 {
		return nil
	}
	hits = hits[:m*len(q.Asked)]
	if less != nil {
		less = less[:m]
	}
	vectors := len(q.all) * int(unsafe.Sizeof(T(0))) / int(chosen.Load().bytes)
	var n C.int64_t
	switch turned := any(q.turned).(type) {
	case []float32:
		n = C.above32(chosen.Load(), f32(rows), C.int64_t(m), C.int64_t(q.dim), f32(turned), C.int64_t(vectors), (*C.float)(unsafe.Pointer(unsafe.SliceData(less))),
			(*C.float)(unsafe.Pointer(unsafe.SliceData(q.all))), (*C.dsl_hit32)(unsafe.Pointer(unsafe.SliceData(hits))))
	case []float64:
		n = C.above64(chosen.Load(), f32(rows), C.int64_t(m), C.int64_t(q.dim), f64(turned), C.int64_t(vectors), (*C.double)(unsafe.Pointer(unsafe.SliceData(less))),
			(*C.double)(unsafe.Pointer(unsafe.SliceData(q.all))), (*C.dsl_hit64)(unsafe.Pointer(unsafe.SliceData(hits))))
	}
	return hits[:n]
}
