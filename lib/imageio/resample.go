package imageio

// #cgo CFLAGS: -std=gnu11 -O3 -Wall -Wextra -Wno-psabi -fvisibility=hidden
// #include "resample.h"
//
// static void horizontal(const dsl_resampler *r, const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
//                        const int32_t *halves, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride) {
//     r->horizontal(src, src_stride, rows, first, halves, stride, n, dst, dst_stride);
// }
//
// static void vertical(const dsl_resampler *r, const uint8_t *src, int64_t src_stride, int64_t n, const int32_t *first,
//                      const int32_t *count, const int32_t *weights, int64_t stride, int64_t rows, uint8_t *dst) {
//     r->vertical(src, src_stride, n, first, count, weights, stride, rows, dst);
// }
import "C"

import "unsafe"

const fixedBits = C.DSL_FIXED_BITS // precision of the fixed-point weights

// resampler is the two passes of a resize for one instruction set.
type resampler = *C.dsl_resampler

// fastest is the best for this processor.
var fastest = resamplerFor(0)

// resamplerFor is the i-th fastest that this processor can run, nil when there are not so many.
func resamplerFor(i int) resampler { return C.dsl_resampler_for(C.int(i)) }

// pixels are rows of RGB in memory, stride bytes apart.
type pixels struct {
	bytes  []uint8
	stride int
}

// first is the C pointer to a slice's elements, which may be none.
func first[C, G any](s []G) *C { return (*C)(unsafe.Pointer(unsafe.SliceData(s))) }

// columns are taps for the horizontal pass, which makes several pixels at once.
type columns struct {
	taps
	starts []int32 // first, and more of the last one
	halves []int32 // for each of them, the weights as resample.h has them
	reach  int     // bytes that the pass reads of a row
	room   int     // bytes that it writes
}

func (c *columns) set(s span) {
	if c.span == s {
		return
	}
	c.taps.set(s)
	n := (s.n + C.DSL_OUT_GROUP - 1) / C.DSL_OUT_GROUP * C.DSL_OUT_GROUP
	c.starts, c.halves = resized(c.starts, n), resized(c.halves, n*c.stride)
	clear(c.halves[s.n*c.stride:])
	last := int32(0)
	for i := range c.starts {
		c.starts[i] = c.first[min(i, s.n-1)]
		last = max(last, c.starts[i])
	}
	for i := 0; i < len(c.weights); i += 2 {
		a, b := c.weights[i], c.weights[i+1]
		const low = 1<<C.DSL_LOW_BITS - 1
		c.halves[i], c.halves[i+1] = a&low|b&low<<16, a>>C.DSL_LOW_BITS|b>>C.DSL_LOW_BITS<<16
	}
	c.reach, c.room = 3*(int(last)+c.stride)+C.DSL_TAP_OVER, 3*n+C.DSL_OUT_OVER
}

// horizontal resizes rows of src; behind each of them there are reach bytes in all, and room for as many as room says in dst.
func (c *columns) horizontal(by resampler, dst, src pixels, rows int) {
	C.horizontal(by, first[C.uint8_t](src.bytes), C.int64_t(src.stride), C.int64_t(rows), first[C.int32_t](c.starts),
		first[C.int32_t](c.halves), C.int64_t(c.stride), C.int64_t(len(c.starts)), first[C.uint8_t](dst.bytes), C.int64_t(dst.stride))
}

// vertical resizes the columns of src, n bytes wide, to dst.
func (t *taps) vertical(by resampler, dst []uint8, src pixels, n int) {
	C.vertical(by, first[C.uint8_t](src.bytes), C.int64_t(src.stride), C.int64_t(n), first[C.int32_t](t.first), first[C.int32_t](t.count),
		first[C.int32_t](t.weights), C.int64_t(t.stride), C.int64_t(len(t.first)), first[C.uint8_t](dst))
}
