package modelfile

import (
	"encoding/binary"
	"math"
	"unsafe"

	"libdsl/lib/modelfile/internal/fb"
)

// elementSize is the bytes of one element; 0 for a type that does not exist.
func elementSize(t fb.DType) int {
	switch t {
	case fb.DTypeU8:
		return 1
	case fb.DTypeF32, fb.DTypeI32:
		return 4
	case fb.DTypeI64, fb.DTypeF64:
		return 8
	}
	return 0
}

// appendShuffled appends the bytes of data, one of the five slices, plane by plane: byte 0 of every element, then byte
// 1 … Exponents and signs, the bytes that repeat, come to lie together, which is what zstd gains from.
func appendShuffled(dst []byte, data any) []byte {
	switch d := data.(type) {
	case []float32:
		return shuffle4(dst, d, math.Float32bits)
	case []int32:
		return shuffle4(dst, d, func(v int32) uint32 { return uint32(v) })
	case []int64:
		return shuffle8(dst, d, func(v int64) uint64 { return uint64(v) })
	case []float64:
		return shuffle8(dst, d, math.Float64bits)
	}
	return append(dst, data.([]uint8)...)
}

// unshuffled is the inverse of appendShuffled; raw holds whole elements. Floats come to lie at the front of room, which has place for them.
func unshuffled(t fb.DType, raw []byte, room []float32) any {
	switch t {
	case fb.DTypeF32:
		return unshuffle4(room[:len(raw)/4:len(raw)/4], raw)
	case fb.DTypeI32:
		return unshuffle4(make([]int32, len(raw)/4), raw)
	case fb.DTypeI64:
		return unshuffle8(raw, func(u uint64) int64 { return int64(u) })
	case fb.DTypeF64:
		return unshuffle8(raw, math.Float64frombits)
	}
	return append([]uint8{}, raw...)
}

func shuffle4[T float32 | int32](dst []byte, data []T, bits func(T) uint32) []byte {
	n, start := len(data), len(dst)
	dst = append(dst, make([]byte, 4*n)...)
	b0, b1, b2, b3 := planes4(dst[start:], n)
	for i, v := range data {
		u := bits(v)
		b0[i], b1[i], b2[i], b3[i] = byte(u), byte(u>>8), byte(u>>16), byte(u>>24)
	}
	return dst
}

func unshuffle4[T float32 | int32](data []T, raw []byte) []T {
	b0, b1, b2, b3 := planes4(raw, len(data))
	words := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(data))), len(data)) // a call for each number would take twice as long
	for i := range words {
		words[i] = uint32(b0[i]) | uint32(b1[i])<<8 | uint32(b2[i])<<16 | uint32(b3[i])<<24
	}
	return data
}

func planes4(b []byte, n int) (b0, b1, b2, b3 []byte) {
	return b[:n], b[n : 2*n], b[2*n : 3*n], b[3*n : 4*n]
}

func shuffle8[T int64 | float64](dst []byte, data []T, bits func(T) uint64) []byte {
	n, start := len(data), len(dst)
	dst = append(dst, make([]byte, 8*n)...)
	planes := dst[start:]
	for i, v := range data {
		u := bits(v)
		for k := range 8 {
			planes[k*n+i] = byte(u >> (8 * k))
		}
	}
	return dst
}

func unshuffle8[T int64 | float64](raw []byte, value func(uint64) T) []T {
	data := make([]T, len(raw)/8)
	var b [8]byte
	for i := range data {
		for k := range b {
			b[k] = raw[k*len(data)+i]
		}
		data[i] = value(binary.LittleEndian.Uint64(b[:]))
	}
	return data
}
