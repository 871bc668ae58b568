package modelfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	flatbuffers "github.com/google/flatbuffers/go"
	"github.com/klauspost/compress/zstd"

	"libdsl/lib/errs"
	"libdsl/lib/modelfile/internal/fb"
	"libdsl/lib/rng"
)

// wrap makes a file whose header and digest fit body, whatever body is, so that the checks behind them are reached.
func wrap(t testing.TB, kind uint32, body []byte) []byte {
	t.Helper()
	data, err := pack(version1, kind, body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// withHeader puts a fitting header before any frame.
func withHeader(frame []byte, bodyBytes uint64, digest [32]byte) []byte {
	h := header{version: version1, kind: kindModel, frameBytes: uint64(len(frame)), bodyBytes: bodyBytes, digest: digest,
		frameCRC: crc32.Checksum(frame, castagnoli)}
	return append(h.encode(), frame...)
}

// patch changes a header field of a whole file and mends the header's CRC.
func patch(data []byte, change func([]byte)) []byte {
	data = bytes.Clone(data)
	change(data)
	binary.LittleEndian.PutUint32(data[92:], crc32.Checksum(data[:92], castagnoli))
	return data
}

func wantKind(t *testing.T, data []byte, kind errs.Kind, text string) {
	t.Helper()
	f, err := ReadBytes(data, Limits{})
	if errs.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, %v, want %v with %q", f, err, kind, text)
	}
}

func TestAFileCutAnywhereIsCorrupt(t *testing.T) {
	data := mustEncode(t, smallCheckpoint())
	for n := range data {
		if _, err := ReadBytes(data[:n], Limits{}); errs.KindOf(err) != errs.Corrupt {
			t.Fatalf("first %d of %d bytes: got %v, want Corrupt", n, len(data), err)
		}
	}
}

func TestASingleFlippedBitIsCorrupt(t *testing.T) {
	const flips = 20_000
	data := mustEncode(t, smallCheckpoint())
	s := rng.New(2, "flips")
	for range flips {
		bit := s.IntN(8 * len(data))
		data[bit/8] ^= 1 << (bit % 8)
		if _, err := ReadBytes(data, Limits{}); errs.KindOf(err) != errs.Corrupt {
			t.Fatalf("bit %d: got %v, want Corrupt", bit, err)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func TestHeaderDefects(t *testing.T) {
	good := mustEncode(t, smallModel())
	le := binary.LittleEndian
	cases := []struct {
		name string
		data []byte
		kind errs.Kind
		want string
	}{
		{"nothing at all", nil, errs.Corrupt, "not a .dsl file"},
		{"another format", []byte("PK\x03\x04 and so on"), errs.Corrupt, "not a .dsl file"},
		{"a line end changed in transfer", bytes.Replace(good, []byte("\r\n"), []byte("\n"), 1), errs.Corrupt, "not a .dsl file"},
		{"a newer version", patch(good, func(b []byte) { le.PutUint32(b[8:], 3) }), errs.Unsupported, "got format version 3, want 1 to 2"},
		{"version 2 without ranges", patch(good, func(b []byte) { le.PutUint32(b[8:], 2) }), errs.Corrupt, "got 0 ranges"},
		{"version 1 with ranges", patch(mustEncode(t, calibrated()), func(b []byte) { le.PutUint32(b[8:], 1) }), errs.Corrupt, "got 3 ranges"},
		{"a gallery of version 2", patch(good, func(b []byte) { b[8], b[12] = 2, 3 }), errs.Corrupt, "gallery of format version 2"},
		{"version 0", patch(good, func(b []byte) { le.PutUint32(b[8:], 0) }), errs.Unsupported, "got format version 0"},
		{"an unknown kind", patch(good, func(b []byte) { b[12] = 4 }), errs.Corrupt, "got kind 4"},
		{"a model that says gallery", patch(good, func(b []byte) { b[12] = 3 }), errs.Invalid, "want a model"},
		{"a model that says checkpoint", patch(good, func(b []byte) { b[12] = 2 }), errs.Corrupt, "as the header says"},
		{"an unknown flag", patch(good, func(b []byte) { b[16] = 1 }), errs.Corrupt, "flags"},
		{"a reserved byte", patch(good, func(b []byte) { b[91] = 1 }), errs.Corrupt, "reserved"},
		{"a wrong CRC", append(append(bytes.Clone(good[:95]), good[95]^1), good[96:]...), errs.Corrupt, "CRC"},
		{"a trailing byte", append(bytes.Clone(good), 0), errs.Corrupt, "cut off or padded"},
		{"a frame size of 2^64-1", patch(good, func(b []byte) { le.PutUint64(b[24:], math.MaxUint64) }), errs.Corrupt, "cut off or padded"},
		{"a body size of 2^64-1", patch(good, func(b []byte) { le.PutUint64(b[32:], math.MaxUint64) }), errs.Corrupt, "at most"},
		{"a body size of 2 GiB from a few bytes", patch(good, func(b []byte) { le.PutUint64(b[32:], maxBody) }), errs.Corrupt, "ratio"},
		{"a body size one too large", patch(good, func(b []byte) { b[32]++ }), errs.Corrupt, "content size"},
		{"a body size of 0", patch(good, func(b []byte) { le.PutUint64(b[32:], 0) }), errs.Corrupt, "content size"},
		{"a wrong CRC of the frame", patch(good, func(b []byte) { b[75] ^= 1 }), errs.Corrupt, "zstd frame: got CRC"},
		{"a wrong digest", patch(good, func(b []byte) { b[40] ^= 1 }), errs.Corrupt, "SHA-256"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantKind(t, c.data, c.kind, c.want) })
	}
}

func TestABodyAboveTheLimitIsUnsupported(t *testing.T) {
	data := mustEncode(t, smallModel())
	size := int64(binary.LittleEndian.Uint64(data[32:]))
	if _, err := ReadBytes(data, Limits{MaxBodyBytes: size}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := ReadBytes(data, Limits{MaxBodyBytes: size - 1}); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("above the limit: got %v, want Unsupported", err)
	}
}

func second(_ int, err error) error { return err }

// zstdFrame compresses with any options.
func zstdFrame(t *testing.T, body []byte, options ...zstd.EOption) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(body, nil)
}

func TestFrameDefects(t *testing.T) {
	body := buildBody(smallModel(), 1<<12)
	digest := sha256.Sum256(body)
	good := zstdFrame(t, body)
	big := make([]byte, 9<<20)
	noise := rng.New(3, "noise")
	for i := range big {
		big[i] = byte(noise.Uint32())
	}
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}
	reserved := bytes.Clone(good)
	var h zstd.Header
	if err := h.Decode(good); err != nil {
		t.Fatal(err)
	}
	reserved[h.HeaderSize] |= 6
	var stream bytes.Buffer
	streamer, err := zstd.NewWriter(&stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(second(streamer.Write(body)), streamer.Flush(), streamer.Close()); err != nil {
		t.Fatal(err)
	}
	n := uint64(len(body))
	cases := []struct {
		name string
		data []byte
		want string
	}{
		{"no frame", withHeader(nil, n, digest), "zstd frame"},
		{"noise instead of a frame", withHeader(big[:100], n, digest), "zstd frame"},
		{"two frames", withHeader(append(bytes.Clone(good), good...), n, digest), "after it"},
		{"a byte after the frame", withHeader(append(bytes.Clone(good), 0), n, digest), "1 bytes after it"},
		{"a skippable frame first", withHeader(append(bytes.Clone(skippable), good...), n, digest), "skippable"},
		{"a skippable frame last", withHeader(append(bytes.Clone(good), skippable...), n, digest), "12 bytes after it"},
		{"a frame cut in its checksum", withHeader(good[:len(good)-1], n, digest), "cut off"},
		{"a frame cut in its block", withHeader(good[:len(good)-9], n, digest), "cut off"},
		{"a frame cut in its block's header", withHeader(good[:h.HeaderSize+2], n, digest), "cut off"},
		{"a block of reserved type", withHeader(reserved, n, digest), "reserved"},
		{"no checksum", withHeader(zstdFrame(t, body, zstd.WithEncoderCRC(false)), n, digest), "no content checksum"},
		{"a window of 16 MiB", withHeader(zstdFrame(t, big, zstd.WithWindowSize(16<<20)), 9<<20, sha256.Sum256(big)), "window"},
		{"a dictionary", withHeader(zstdFrame(t, body, zstd.WithEncoderDictRaw(7, body)), n, digest), "dictionary"},
		{"no content size", withHeader(stream.Bytes(), n, digest), "no content size"},
		{"a body of another size", withHeader(good, n+1, digest), "content size"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantKind(t, c.data, errs.Corrupt, c.want) })
	}
}

// rleFrame is a zstd frame of any claimed content size: blocks of 128 KiB of one repeated byte, 4 bytes each.
func rleFrame(blocks int, claimed uint64) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xc4, 0x50} // 8-byte content size, checksum; window of 1 MiB
	frame = binary.LittleEndian.AppendUint64(frame, claimed)
	for i := range blocks {
		block := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			block |= 1
		}
		frame = append(frame, byte(block), byte(block>>8), byte(block>>16), 0)
	}
	return append(frame, 1, 2, 3, 4)
}

// TestABombTakesNoMoreMemoryThanItDeclares offers 1 GiB of zeros in 32 KiB. Where the zstd library notices only after a
// block too many, its buffer has grown by a quarter.
func TestABombTakesNoMoreMemoryThanItDeclares(t *testing.T) {
	for _, declared := range []uint64{1000, ratioFree, 24 << 20} {
		data := withHeader(rleFrame(8192, declared), declared, [32]byte{})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		wantKind(t, data, errs.Corrupt, "zstd frame")
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, declared*9/4+(8<<20); got > most {
			t.Errorf("declared %d: allocated %d bytes, want at most %d", declared, got, most)
		}
	}
	wantKind(t, withHeader(rleFrame(8192, 1<<30), 1<<30, [32]byte{}), errs.Corrupt, "ratio")
}

func TestConstantTensorsThatLookLikeABombAreNotWritten(t *testing.T) {
	f := smallModel()
	f.Tensors = append(f.Tensors, Tensor{"zeros", []int32{5 << 20}, make([]float32, 5<<20)})
	if _, err := Encode(f); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "constant") {
		t.Errorf("got %v, want Invalid", err)
	}
}

// body is a FlatBuffer to damage: it finds the parts of the tables through the generated accessors.
type body struct {
	b []byte
	m *fb.Model
}

func newBody(f *File) *body {
	b := buildBody(f, 1<<12)
	return &body{b, fb.GetRootAsModel(b, 0)}
}

// field is where the n-th field of a table lies.
func (b *body) field(t flatbuffers.Table, n int) offset {
	return t.Pos + offset(t.Offset(flatbuffers.VOffsetT(4+2*n)))
}

// target is where the n-th field of a table points to.
func (b *body) target(t flatbuffers.Table, n int) offset { return t.Indirect(b.field(t, n)) }

func (b *body) tensor(i int) flatbuffers.Table {
	var t fb.Tensor
	b.m.Tensors(&t, i)
	return t.Table()
}

func (b *body) vtable(t flatbuffers.Table) offset {
	return offset(int64(t.Pos) - int64(t.GetSOffsetT(t.Pos)))
}

func (b *body) put32(at offset, v uint32) { binary.LittleEndian.PutUint32(b.b[at:], v) }
func (b *body) put16(at offset, v uint16) { binary.LittleEndian.PutUint16(b.b[at:], v) }

// Field numbers of schema/model.fbs.
const (
	tensorName, tensorDtype, tensorShape, tensorData = 0, 1, 2, 3
	modelArch, modelPreprocess, modelClassNames      = 0, 1, 2
	modelTensors                                     = 4
)

func TestBodyDefects(t *testing.T) {
	cases := []struct {
		name   string
		damage func(*body)
		want   string
	}{
		{"no identifier", func(b *body) { b.put32(4, 0) }, "identifier"},
		{"a root offset of 0", func(b *body) { b.put32(0, 0) }, "offset of 0"},
		{"a root behind the end", func(b *body) { b.put32(0, 1<<20) }, "want them to end by"},
		{"a root that wraps 32 bits", func(b *body) { b.put32(0, math.MaxUint32-3) }, "want them to end by"},
		{"a root at an odd place", func(b *body) { b.b[0]++ }, "multiple of 4"},
		{"a root that is the header itself", func(b *body) { b.put32(0, 4) }, ""},
		{"a vtable before the body", func(b *body) { b.put32(b.m.Table().Pos, math.MaxInt32) }, "vtable at -"},
		{"a vtable behind the body", func(b *body) { b.put32(b.m.Table().Pos, 1<<31) }, "vtable"},
		{"a vtable at an odd place", func(b *body) { b.b[b.m.Table().Pos]++ }, "multiple of 2"},
		{"a vtable inside its table", func(b *body) { b.put32(b.m.Table().Pos, math.MaxUint32-3) }, ""},
		{"a vtable of 2 bytes", func(b *body) { b.put16(b.vtable(b.m.Table()), 2) }, "vtable of 2"},
		{"a vtable of odd size", func(b *body) { b.put16(b.vtable(b.m.Table()), 17) }, "vtable of 17"},
		{"a vtable with fields that no schema has", func(b *body) { b.put16(b.vtable(b.m.Table()), 20) }, "vtable of 20"},
		{"a vtable of 64 KiB", func(b *body) { b.put16(b.vtable(b.m.Table()), 65534) }, "vtable of 65534"},
		{"a table of 0 bytes", func(b *body) { b.put16(b.vtable(b.m.Table())+2, 0) }, "want at least 4"},
		{"a table longer than the body", func(b *body) { b.put16(b.vtable(b.m.Table())+2, 65532) }, "65532 bytes"},
		{"a field over the table's offset", func(b *body) { b.put16(b.vtable(b.m.Table())+4, 2) }, "Model.arch"},
		{"a field behind its table", func(b *body) { b.put16(b.vtable(b.m.Table())+4, 60000) }, "Model.arch"},
		{"a field at an odd place", func(b *body) { b.put16(b.vtable(b.m.Table())+4, 5) }, "Model.arch"},
		{"a required field missing", func(b *body) { b.put16(b.vtable(b.m.Table())+4, 0) }, "Model.arch: missing"},
		{"a tensor without data", func(b *body) { b.put16(b.vtable(b.tensor(0))+4+2*tensorData, 0) }, "data: missing"},
		{"two fields in one place", func(b *body) {
			v := b.vtable(b.tensor(0)) + 4
			b.put16(v+2*tensorName, uint16(b.field(b.tensor(0), tensorData)-b.tensor(0).Pos))
		}, ""},
		{"a tensor whose count is 2^32-1", func(b *body) { b.put32(b.target(b.tensor(0), tensorData), math.MaxUint32) }, "vector of 4294967295"},
		{"a shape whose bytes wrap 32 bits", func(b *body) { b.put32(b.target(b.tensor(0), tensorShape), 1<<30+1) }, "vector of 1073741825"},
		{"2^32-1 tensors", func(b *body) { b.put32(b.target(b.m.Table(), modelTensors), math.MaxUint32) }, "vector of 4294967295"},
		{"2^32-1 class names", func(b *body) { b.put32(b.target(b.m.Table(), modelClassNames), math.MaxUint32) }, "vector of 4294967295"},
		{"a name of 2^32-1 bytes", func(b *body) { b.put32(b.target(b.tensor(0), tensorName), math.MaxUint32) }, "string of 4294967295"},
		{"a name without its NUL", func(b *body) { b.b[b.target(b.tensor(0), tensorName)+4+12] = 'x' }, "ended by NUL"},
		{"a name with NUL inside", func(b *body) { b.b[b.target(b.tensor(0), tensorName)+6] = 0 }, "UTF-8"},
		{"a name that is not UTF-8", func(b *body) { b.b[b.target(b.tensor(0), tensorName)+6] = 0xff }, "UTF-8"},
		{"a name cut short", func(b *body) { b.put32(b.target(b.tensor(0), tensorName), 3) }, "UTF-8"},
		{"a tensor listed twice", func(b *body) {
			at := b.target(b.m.Table(), modelTensors) + 4
			b.put32(at+4, uint32(b.tensor(0).Pos-at-4))
		}, "overlap"},
		{"two tensors with one vector of data", func(b *body) {
			b.alias(b.tensor(1), tensorData, b.target(b.tensor(0), tensorData))
		}, "overlap"},
		{"data that begins inside other data", func(b *body) {
			inside := b.target(b.tensor(0), tensorData) + 8
			b.put32(inside, 8)
			b.alias(b.tensor(1), tensorData, inside)
		}, "overlap"},
		{"data that runs into what follows", func(b *body) { b.put32(b.target(b.tensor(1), tensorData), 24+16) }, "overlap"},
		{"data that leaves bytes to nobody", func(b *body) { b.put32(b.target(b.tensor(0), tensorData), 8) }, "belong to nothing"},
		{"arch and preprocessing in one table", func(b *body) {
			b.alias(b.m.Table(), modelPreprocess, b.target(b.m.Table(), modelArch))
		}, ""},
		{"padding that holds something", func(b *body) { b.b[b.target(b.tensor(0), tensorName)+4+12+1] = 1 }, "padding"},
		{"an element type that does not exist", func(b *body) { b.b[b.field(b.tensor(0), tensorDtype)] = 5 }, "element type 5"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newBody(withOddType())
			if err := verifyBody(b.b, modelLayout); err != nil {
				t.Fatalf("undamaged: %v", err)
			}
			c.damage(b)
			wantKind(t, wrap(t, kindCheckpoint, b.b), errs.Corrupt, c.want)
		})
	}
}

// withOddType is a checkpoint whose first tensor has a dtype that is not the default, which FlatBuffers leaves out.
func withOddType() *File {
	f := smallCheckpoint()
	f.Tensors[0].Data = []int32{1, 2, 3, 4, 5, 6}
	return f
}

// alias points a field of a table to where something else lies; offsets point forward only, so the layout that the
// builder chose must allow it.
func (b *body) alias(t flatbuffers.Table, n int, to offset) {
	at := b.field(t, n)
	if to <= at {
		panic("the target lies before the field")
	}
	b.put32(at, uint32(to-at))
}

// TestMeaningDefects writes files that are sound FlatBuffers of contents that Check refuses.
func TestMeaningDefects(t *testing.T) {
	nan := float32(math.NaN())
	cases := []struct {
		name   string
		change func(*File)
		want   string
	}{
		{"weights of NaN", func(f *File) { f.Tensors[0].Data.([]float32)[1] = nan }, "finite"},
		{"a tensor name twice", func(f *File) { f.Tensors[1].Name = f.Tensors[0].Name }, "twice"},
		{"a model's tensor of integers", func(f *File) { f.Tensors[1].Data = make([]int32, 6) }, "[]int32"},
		{"learners that overlap", func(f *File) { f.Learners[0][0] = 1 }, "listed before"},
		{"learners that leave a neuron out", func(f *File) { f.Learners = f.Learners[1:] }, "no learner"},
		{"a negative neuron", func(f *File) { f.Learners[0][0] = math.MinInt32 }, "neuron -2147483648"},
		{"an embedding of 2^31-1 neurons", func(f *File) { f.Arch.EmbeddingDim = math.MaxInt32 }, "embedding dim"},
		{"a negative embedding", func(f *File) { f.Arch.EmbeddingDim = -1 }, "embedding dim"},
		{"an unknown backbone", func(f *File) { f.Arch.Backbone = "vgg16" }, "backbone"},
		{"a negative dimension", func(f *File) { f.Tensors[0].Shape = []int32{-1, -6} }, "at least 1"},
		{"a dimension of 0", func(f *File) { f.Tensors[0].Shape = []int32{0, 6} }, "at least 1"},
		{"no dimensions", func(f *File) { f.Tensors[0].Shape = nil }, "0 dimensions"},
		{"a hundred thousand dimensions", func(f *File) { f.Tensors[0].Shape = make([]int32, 100_000) }, "100000 dimensions"},
		{"a shape that overflows 64 bits", func(f *File) { f.Tensors[0].Shape = []int32{1 << 30, 1 << 30, 16, 6} }, "elements"},
		{"a shape of more bytes than the data", func(f *File) { f.Tensors[0].Shape = []int32{7} }, "24 bytes, want 28"},
		{"a std of 0", func(f *File) { f.Preprocess.Std[0] = 0 }, "std > 0"},
		{"a range of NaN", func(f *File) { f.Ranges = []NamedFloat{{"conv1.weight", math.NaN()}} }, `range "conv1.weight": got NaN`},
		{"a negative range", func(f *File) { f.Ranges = []NamedFloat{{"conv1.weight", -1}} }, `range "conv1.weight": got -1`},
		{"a range without an end", func(f *File) { f.Ranges = []NamedFloat{{"conv1.weight", math.Inf(1)}} }, "finite number of 0 or more"},
		{"two ranges of a name", func(f *File) { f.Ranges = []NamedFloat{{"a", 1}, {"a", 2}} }, "twice"},
		{"no input", func(f *File) { f.Preprocess.InputSize = 0 }, "input size"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := smallModel()
			c.change(f)
			wantKind(t, wrap(t, kindModel, buildBody(f, 1<<12)), errs.Corrupt, c.want)
		})
	}
}

func TestTooManyObjectsAreRefused(t *testing.T) {
	f := smallModel()
	f.ClassNames = make([]string, maxObjects)
	for i := range f.ClassNames {
		f.ClassNames[i] = "a"
	}
	if _, err := Encode(f); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Encode: got %v, want Invalid", err)
	}
	wantKind(t, wrap(t, kindModel, buildBody(f, 1<<20)), errs.Corrupt, "more than 131072")
}

// TestADamagedBodyNeverPanics changes each byte of a body to a few values. A body that is still accepted must be one
// that Encode could have meant.
func TestADamagedBodyNeverPanics(t *testing.T) {
	body := buildBody(smallCheckpoint(), 1<<12)
	accepted := 0
	for i := range body {
		for _, v := range []byte{0, 1, body[i] + 1, body[i] - 1, body[i] ^ 0x80, 0x7f, 0xff, body[i] + 4, body[i] - 4} {
			was := body[i]
			body[i] = v
			f, err := parseBody(body)
			if err == nil {
				accepted++
				if err := f.Check(); err != nil {
					t.Fatalf("byte %d = %d: accepted %v", i, v, err)
				}
			}
			body[i] = was
		}
	}
	if accepted == 0 {
		t.Error("no changed weight was accepted: the test reaches nothing")
	}
	for n := range body {
		if _, err := parseBody(body[:n]); err == nil && len(bytes.Trim(body[n:], "\x00")) > 0 {
			t.Fatalf("the first %d of %d bytes: accepted, though more than padding is cut off", n, len(body))
		}
	}
}

// TestLayoutsMirrorTheSchema compares the verifier's tables with schema/model.fbs, field by field.
func TestLayoutsMirrorTheSchema(t *testing.T) {
	schema, err := os.ReadFile("schema/model.fbs")
	if err != nil {
		t.Fatal(err)
	}
	layouts := map[string]*layout{}
	collect(modelLayout, layouts)
	collect(galleryLayout, layouts)
	tables := regexp.MustCompile(`(?s)table (\w+) \{(.*?)\}`).FindAllStringSubmatch(string(schema), -1)
	if len(tables) != len(layouts) {
		t.Errorf("got %d layouts, want %d", len(layouts), len(tables))
	}
	for _, table := range tables {
		var want, got []string
		for _, f := range regexp.MustCompile(`(\w+):(\[?\w+\]?)( \(required\))?;`).FindAllStringSubmatch(table[2], -1) {
			want = append(want, strings.Join(f[1:], " "))
		}
		if l := layouts[table[1]]; l != nil {
			got = describe(l, want)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("table %s: got %q, want %q", table[1], got, want)
		}
	}
}

func collect(l *layout, into map[string]*layout) {
	into[l.name] = l
	for _, f := range l.fields {
		if f.table != nil {
			collect(f.table, into)
		}
	}
}

// describe writes a layout as the schema does. Types of one size look alike to the verifier, so it takes the schema's
// word among those.
func describe(l *layout, schema []string) []string {
	sizes := map[string]uint64{"DType": 1, "ubyte": 1, "int": 4, "float": 4, "long": 8, "double": 8}
	var out []string
	for i, f := range l.fields {
		var typ string
		if i < len(schema) {
			typ = strings.Fields(schema[i])[1]
		}
		bare := strings.Trim(typ, "[]")
		var is string
		switch {
		case f.kind == text:
			is = "string"
		case f.kind == textVector:
			is = "[string]"
		case f.kind == child:
			is = f.table.name
		case f.kind == childVector:
			is = "[" + f.table.name + "]"
		case f.kind == scalar && sizes[bare] == f.size:
			is = bare
		case f.kind == scalarVector && sizes[bare] == f.size:
			is = "[" + bare + "]"
		}
		line := f.name + " " + is + " "
		if !f.optional {
			line += " (required)"
		}
		out = append(out, line)
	}
	return out
}

func TestMessagesOfTheSystemLoseTheirPaths(t *testing.T) {
	err := ioError("/secret/patient/m.dsl", "cannot open it", fmt.Errorf("x: %w", &os.PathError{Op: "open",
		Path: "/secret/patient/m.dsl", Err: errors.New("bad luck")}))
	if got, want := err.Error(), `modelfile: file "m.dsl": cannot open it: bad luck`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
