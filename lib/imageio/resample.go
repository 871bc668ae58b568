package imageio

// #cgo CFLAGS: -std=gnu11 -O3 -Wall -Wextra -Wno-psabi -fvisibility=hidden
// #include "resample.h"
//
// static void horizontal(const dsl_resampler *r, const uint8_t *src, int64_t src_stride, int64_t rows, const int32_t *first,
//                        const int32_t *weights, int64_t stride, int64_t n, uint8_t *dst, int64_t dst_stride) {
//     r->horizontal(src, src_stride, rows, first, weights, stride, n, dst, dst_stride);
// }
//
// static void vertical(const dsl_resampler *r, const uint8_t *src, int64_t src_stride, int64_t n, const int32_t *first,
//                      const int32_t *count, const int32_t *weights, int64_t stride, int64_t rows, uint8_t *dst) {
//     r->vertical(src, src_stride, n, first, count, weights, stride, rows, dst);
// }
import "C"

import "unsafe"

const (
	fixedBits = C.DSL_FIXED_BITS // precision of the fixed-point weights
	tapGroup  = C.DSL_TAP_GROUP
	tapOver   = C.DSL_TAP_OVER
)

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

// horizontal resizes rows rows of src, see resample.h for what may be read and written behind them.
func horizontal(by resampler, dst, src pixels, rows int, t *taps) {
	C.horizontal(by, first[C.uint8_t](src.bytes), C.int64_t(src.stride), C.int64_t(rows), first[C.int32_t](t.first),
		first[C.int32_t](t.weights), C.int64_t(t.stride), C.int64_t(len(t.first)), first[C.uint8_t](dst.bytes), C.int64_t(dst.stride))
}

// vertical resizes the columns of src, n bytes wide, to dst.
func vertical(by resampler, dst []uint8, src pixels, n int, t *taps) {
	C.vertical(by, first[C.uint8_t](src.bytes), C.int64_t(src.stride), C.int64_t(n), first[C.int32_t](t.first), first[C.int32_t](t.count),
		first[C.int32_t](t.weights), C.int64_t(t.stride), C.int64_t(len(t.first)), first[C.uint8_t](dst))
}
