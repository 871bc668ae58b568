package modelfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"libdsl/lib/errs"
)

// foreignType is an element type of .safetensors files: its bytes and, for floating point, the value of one element.
type foreignType struct {
	size  uint64
	value func(b []byte) float32
}

var foreignTypes = map[string]foreignType{
	"F64": {8, func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }},
	"F32": {4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	// bfloat16 is the upper half of a float32.
	"BF16": {2, func(b []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) }},
	"F16":  {2, func(b []byte) float32 { return fromHalf(binary.LittleEndian.Uint16(b)) }},
	"BOOL": {size: 1}, "U8": {size: 1}, "I8": {size: 1}, "F8_E5M2": {size: 1}, "F8_E4M3": {size: 1},
	"U16": {size: 2}, "I16": {size: 2}, "U32": {size: 4}, "I32": {size: 4}, "U64": {size: 8}, "I64": {size: 8}, "C64": {size: 8},
}

// fromHalf is the value of an IEEE 754 binary16 number: 1 sign, 5 exponent, 10 fraction bits. All are exact in float32.
func fromHalf(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exponent {
	case 0: // zero and subnormal
		v := float32(fraction) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// foreignChunk is how many bytes are read at a time; a multiple of every element's.
const foreignChunk = 1 << 16

// read reads the tensor's elements, the next bytes of r. Errors: those of r; Unsupported for other than floating point; a value that is not
// finite as a float32.
func (t *foreignTensor) read(r io.Reader) ([]float32, error) {
	d := foreignTypes[t.dtype]
	if d.value == nil {
		return nil, errs.New(errs.Unsupported, "tensor %q: got elements of type %s, want F32, F16, BF16 or F64", t.name, t.dtype)
	}
	out := make([]float32, 0, (t.end-t.begin)/d.size)
	chunk := make([]byte, min(foreignChunk, t.end-t.begin))
	for left := t.end - t.begin; left > 0; left -= uint64(len(chunk)) {
		chunk = chunk[:min(uint64(len(chunk)), left)]
		if _, err := io.ReadFull(r, chunk); err != nil {
			return nil, err
		}
		for at := uint64(0); at < uint64(len(chunk)); at += d.size {
			out = append(out, d.value(chunk[at:]))
		}
	}
	if i := firstNonFinite(out); i >= 0 {
		return nil, fmt.Errorf("tensor %q: got %v at %d, want finite numbers", t.name, out[i], i)
	}
	return out, nil
}
