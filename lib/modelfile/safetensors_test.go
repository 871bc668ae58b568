package modelfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

// foreign is a .safetensors file of a header and the bytes behind it.
func foreign(header string, data []byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func parseForeign(data []byte) ([]foreignTensor, error) {
	tensors, err := readForeignHeader(bytes.NewReader(data), uint64(len(data)))
	if err != nil {
		return nil, foreignError("/home/a patient/a.safetensors", err)
	}
	return tensors, nil
}

// twoTensors are "a" with two numbers and "b" with an int64, "b" first in the file.
const twoTensors = `{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},"b":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`

func TestAHeaderIsReadInTheOrderOfTheBytes(t *testing.T) {
	for _, header := range []string{twoTensors, twoTensors + "     ", strings.ReplaceAll(twoTensors, ",", " ,\n")} {
		got, err := parseForeign(foreign(header, make([]byte, 16)))
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 2 || got[0].name != "b" || len(got[0].shape) != 0 || got[1].dtype != "F32" || !slices.Equal(got[1].shape, []uint64{2, 1}) || got[1].begin != 8 {
			t.Errorf("%q: got %+v", header, got)
		}
	}
}

func TestEmptyHeadersAndTensorsAreRead(t *testing.T) {
	for header, want := range map[string]int{"{}": 0, `{"__metadata__":{}}`: 0, `{"a":{"dtype":"F16","shape":[3,0],"data_offsets":[0,0]}}`: 1} {
		if got, err := parseForeign(foreign(header, nil)); err != nil || len(got) != want {
			t.Errorf("%s: got %v, %v, want %d tensors", header, got, err, want)
		}
	}
}

// one is the header of one tensor of 8 bytes, with a part replaced.
func one(old, new string) string {
	return strings.Replace(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, old, new, 1)
}

func TestHeadersOfForeignFilesThatAreRefused(t *testing.T) {
	two := func(begin, end int) string {
		return fmt.Sprintf(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}}`, begin, end)
	}
	deep := `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
	for _, c := range []struct {
		name, header string
		kind         errs.Kind
		want         string
	}{
		{"nothing", "", errs.Corrupt, "JSON object"},
		{"an array", "[]", errs.Corrupt, "JSON object"},
		{"a space before the object", " {}", errs.Corrupt, "JSON object"},
		{"bytes that are not UTF-8", one("a", "\xff"), errs.Corrupt, "UTF-8"},
		{"an object without end", one("]}}", "]}"), errs.Corrupt, "header"},
		{"two objects", one("", "") + "{}", errs.Corrupt, "after the JSON object"},
		{"a NUL behind the object", one("", "") + "\x00", errs.Corrupt, "after the JSON object"},
		{"a trailing comma", one("}}", "},}"), errs.Corrupt, "header"},
		{"a tensor's name twice", `{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"\u0061":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}`, errs.Corrupt, `key "a" twice`},
		{"a key twice", one(`"shape"`, `"dtype":"F32","shape"`), errs.Corrupt, `key "dtype" twice`},
		{"two sets of metadata", `{"__metadata__":{},"__metadata__":{}}`, errs.Corrupt, "twice"},
		{"metadata other than text", `{"__metadata__":{"a":1}}`, errs.Corrupt, "want a text"},
		{"an unknown key", one(`"shape"`, `"strides":[1],"shape"`), errs.Corrupt, `got a key "strides"`},
		{"no type", one(`"dtype":"F32",`, ""), errs.Corrupt, "want dtype"},
		{"no offsets", one(`,"data_offsets":[0,8]`, ""), errs.Corrupt, "want dtype"},
		{"one offset", one("[0,8]", "[8]"), errs.Corrupt, "two data_offsets"},
		{"three offsets", one("[0,8]", "[0,8,8]"), errs.Corrupt, "more than 2"},
		{"an unknown type", one("F32", "F4"), errs.Unsupported, `type "F4"`},
		{"a tensor without a name", one(`"a"`, `""`), errs.Corrupt, "0 bytes"},
		{"a tensor with an endless name", one(`"a"`, `"`+strings.Repeat("a", 5000)+`"`), errs.Corrupt, "5000 bytes"},
		{"a tensor that is null", `{"a":null}`, errs.Corrupt, `tensor "a"`},
		{"a shape of 17 dimensions", one("[2]", "["+strings.Repeat("1,", 16)+"2]"), errs.Corrupt, "more than 16"},
		{"a negative dimension", one("[2]", "[-2]"), errs.Corrupt, `got "-2"`},
		{"a dimension with a point", one("[2]", "[2.0]"), errs.Corrupt, `got "2.0"`},
		{"a dimension with an exponent", one("[2]", "[2e0]"), errs.Corrupt, `got "2e0"`},
		{"a dimension that is a text", one("[2]", `["2"]`), errs.Corrupt, "want an integer"},
		{"a dimension of 2^64", one("[2]", "[18446744073709551616]"), errs.Corrupt, "want an integer"},
		{"a product that overflows", one("[2]", "[4294967296,4294967296,2]"), errs.Corrupt, "at most 8 bytes"},
		{"a shape in a shape", one("[2]", "[[2]]"), errs.Corrupt, "want an integer"},
		{"brackets without end", deep, errs.Corrupt, `tensor "a"`},
		{"a shape that is too small", one("[2]", "[1]"), errs.Corrupt, "want 4 of the file's 8"},
		{"a shape that is too large", one("[2]", "[3]"), errs.Corrupt, "want at most 8"},
		{"offsets in reverse", one("[0,8]", "[8,0]"), errs.Corrupt, "bytes 8 to 0"},
		{"an end behind the file's", one("[0,8]", "[0,9]"), errs.Corrupt, "bytes 0 to 9"},
		{"a begin of 2^64-1", one("[0,8]", "[18446744073709551615,7]"), errs.Corrupt, "want 8"},
		{"a hole at the start", one(`[2],"data_offsets":[0`, `[1],"data_offsets":[4`), errs.Corrupt, "begins at byte 4, want 0"},
		{"bytes of nobody at the end", one(`[2],"data_offsets":[0,8]`, `[1],"data_offsets":[0,4]`), errs.Corrupt, "got 4 bytes of tensors, want 8"},
		{"an overlap", two(2, 6), errs.Corrupt, "begins at byte 2, want 4"},
		{"the same bytes twice", two(0, 4), errs.Corrupt, "begins at byte 0, want 4"},
		{"a hole between tensors", two(5, 8), errs.Corrupt, `"b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseForeign(foreign(c.header, make([]byte, 8)))
			if errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want %v with %q", got, err, c.kind, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "patient") || len(err.Error()) > 1000) {
				t.Errorf("the message tells the path or too much: %.2000v", err)
			}
		})
	}
}

func TestAForeignFileCutAnywhereIsCorrupt(t *testing.T) {
	data := foreign(twoTensors, make([]byte, 16))
	for n := range data {
		if _, err := parseForeign(data[:n]); errs.KindOf(err) != errs.Corrupt {
			t.Fatalf("first %d of %d bytes: got %v, want Corrupt", n, len(data), err)
		}
	}
}

func TestAHeaderThatSaysItIsHugeTakesNoMemory(t *testing.T) {
	data := foreign(twoTensors, make([]byte, 16))
	for _, n := range []uint64{maxForeignHeader + 1, 1 << 40, math.MaxUint64} {
		binary.LittleEndian.PutUint64(data, n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseForeign(data)
		runtime.ReadMemStats(&after)
		if errs.KindOf(err) != errs.Unsupported || after.TotalAlloc-before.TotalAlloc > 1<<20 {
			t.Errorf("a header of %d bytes: got %v after %d bytes of memory, want Unsupported and little", n, err, after.TotalAlloc-before.TotalAlloc)
		}
	}
}

func TestNumbersOfEachTypeBecomeFloat32(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		dtype string
		bytes []byte
		want  []float32
	}{
		{"F32", le.AppendUint32(le.AppendUint32(nil, 0x3f9d70a4), 0x80000001), []float32{1.23, -math.SmallestNonzeroFloat32}},
		{"F64", le.AppendUint64(le.AppendUint64(nil, math.Float64bits(1.0/3)), math.Float64bits(-1e-300)), []float32{1.0 / 3, 0}},
		{"BF16", []byte{0x80, 0x3f, 0x49, 0xc0}, []float32{1, -3.140625}},
		// of IEEE 754 binary16: 1, -2, the largest, the smallest normal, the largest and the smallest subnormal, 1/3 rounded, -0
		{"F16", []byte{0, 0x3c, 0, 0xc0, 0xff, 0x7b, 0, 4, 0xff, 3, 1, 0, 0x55, 0x35, 0, 0x80},
			[]float32{1, -2, 65504, 1.0 / (1 << 14), 1023.0 / (1 << 24), 1.0 / (1 << 24), 0.333251953125, 0}},
	} {
		x := foreignTensor{name: "a", dtype: c.dtype, end: uint64(len(c.bytes))}
		got, err := x.read(bytes.NewReader(c.bytes))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.dtype, got, err, c.want)
		}
	}
}

func TestATensorLargerThanAChunkIsReadWhole(t *testing.T) {
	const n = 3*foreignChunk/4 + 5
	var data []byte
	for i := range n {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(i)))
	}
	x := foreignTensor{name: "a", dtype: "F32", end: 4 * n}
	got, err := x.read(bytes.NewReader(data))
	if err != nil || len(got) != n || got[n-1] != n-1 || got[foreignChunk/4] != foreignChunk/4 {
		t.Errorf("got %d numbers, %v", len(got), err)
	}
	if _, err := x.read(bytes.NewReader(data[:len(data)-1])); err != io.ErrUnexpectedEOF {
		t.Errorf("a byte too few: got %v", err)
	}
}

func TestNumbersThatAreNotFiniteAndOtherTypesAreRefused(t *testing.T) {
	le := binary.LittleEndian
	for _, c := range []struct {
		dtype string
		bytes []byte
		want  string
	}{
		{"F32", le.AppendUint32(make([]byte, 4), math.Float32bits(float32(math.NaN()))), "got NaN at 1"},
		{"F64", le.AppendUint64(nil, math.Float64bits(1e39)), "got +Inf at 0"},
		{"BF16", []byte{0x80, 0xff}, "got -Inf at 0"},
		{"F16", []byte{0, 0x7c}, "got +Inf at 0"},
		{"F16", []byte{1, 0x7c}, "got NaN at 0"},
		{"I64", make([]byte, 8), "type I64, want F32"},
	} {
		x := foreignTensor{name: "a", dtype: c.dtype, end: uint64(len(c.bytes))}
		if got, err := x.read(bytes.NewReader(c.bytes)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want %q", c.dtype, got, err, c.want)
		}
	}
}
