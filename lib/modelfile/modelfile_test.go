package modelfile

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// smallModel is a valid model of a few hundred bytes.
func smallModel() *File {
	return &File{
		Arch: Arch{Backbone: "resnet18", Stem: "small", Attention: "gate", BatchNorm: "frozen", Head: model.EmbeddingHead,
			EmbeddingDim: 6},
		Preprocess: Preprocess{InputSize: 64, ResizeNum: 8, ResizeDen: 7,
			Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}},
		ClassNames: []string{"nevus", "melanoma", "kératose"},
		Learners:   [][]int32{{0, 2, 5}, {4, 1}, {3}},
		Tensors: []Tensor{
			{"conv1.weight", []int32{2, 3, 1, 1}, []float32{1, -2, 3.5, 0, 1e-30, -1e30}},
			{"embed.bias", []int32{6}, []float32{0.1, 0.2, 0.3, 0.4, 0.5, 0.6}},
		},
		Card: Card{Created: 1_700_000_000, LibraryVersion: "0.1.0", DataHash: "00ff", Splits: []Count{{"train", 12}, {"test", 4}},
			Scores: []Score{{"nmi", []float64{0.25, 0.5}}}, IntendedUse: "research; not a medical device", Notes: ""},
	}
}

// calibrated is smallModel with ranges.
func calibrated() *File {
	f := smallModel()
	f.Ranges = []NamedFloat{{"conv1.weight", 2.5}, {"layer1.0.conv1.weight", 0}, {"layer1.0.conv2.weight", 1e-3}}
	return f
}

// smallCheckpoint is smallModel with a checkpoint that has every type, NaN and empty values.
func smallCheckpoint() *File {
	f := smallModel()
	f.Checkpoint = &Checkpoint{
		Tensors: []Tensor{
			{"adam.m/conv1.weight", []int32{2, 3, 1, 1}, []float32{1, 2, 3, 4, 5, 6}},
			{"adam.count", []int32{3}, []int32{-1, math.MaxInt32, math.MinInt32}},
			{"flags", []int32{2, 2}, []uint8{0, 1, 2, 255}},
			{"steps", []int32{2}, []int64{math.MinInt64, math.MaxInt64}},
			{"validation.nmi", []int32{2}, []float64{math.Inf(-1), 1.0 / 3}},
			{"empty", []int32{0}, []float64{}},
		},
		Ints:   []NamedInt{{"epoch", 7}, {"zero", 0}},
		Floats: []NamedFloat{{"best", math.Inf(-1)}, {"beta", 1.2}},
		Blobs:  []NamedBlob{{"options", []byte(`{"lr":1e-3}`)}, {"nothing", []byte{}}},
	}
	return f
}

// sameContent compares two files, source aside.
func sameContent(t *testing.T, got, want *File) {
	t.Helper()
	a, b := *got, *want
	a.source, b.source = "", ""
	if !reflect.DeepEqual(a, b) {
		t.Fatalf("got %+v, want %+v", a, b)
	}
}

func mustEncode(t testing.TB, f *File) []byte {
	t.Helper()
	data, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAFileReadsBackAsItWasWritten(t *testing.T) {
	for name, f := range map[string]*File{"a model": smallModel(), "a calibrated model": calibrated(), "a checkpoint": smallCheckpoint()} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "m.dsl")
			if err := Write(path, f); err != nil {
				t.Fatal(err)
			}
			got, err := Read(path, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			sameContent(t, got, f)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(data, mustEncode(t, f)) {
				t.Error("Encode and Write differ, or Encode is not deterministic")
			}
			if got, err = ReadBytes(data, Limits{}); err != nil {
				t.Fatal(err)
			}
			sameContent(t, got, f)
		})
	}
}

// TestLargeTensorsReadBack goes beyond one zstd block, one window, and lengths divisible by the planes.
func TestLargeTensorsReadBack(t *testing.T) {
	s := rng.New(1, "weights")
	f := smallCheckpoint()
	for i, n := range []int32{1, 3, 127, 65_537, 1_500_001} {
		data := make([]float32, n)
		for j := range data {
			data[j] = float32(s.NormFloat64())
		}
		f.Tensors = append(f.Tensors, Tensor{fmt.Sprint("w", i), []int32{n}, data})
	}
	got, err := ReadBytes(mustEncode(t, f), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, got, f)
}

// TestShufflingMatchesTheDumbestLoop checks the byte planes against their definition in the schema.
func TestShufflingMatchesTheDumbestLoop(t *testing.T) {
	raw := appendShuffled([]byte{9}, []float32{math.Float32frombits(0x03020100), math.Float32frombits(0x13121110)})
	if want := []byte{9, 0, 0x10, 1, 0x11, 2, 0x12, 3, 0x13}; !bytes.Equal(raw, want) {
		t.Errorf("float32: got % x, want % x", raw, want)
	}
	raw = appendShuffled(nil, []int64{0x0706050403020100, 0x1716151413121110})
	for i, c := range raw {
		if want := byte(i/2 + i%2*0x10); c != want {
			t.Errorf("int64: byte %d: got %x, want %x", i, c, want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	nan := float32(math.NaN())
	cases := []struct {
		name   string
		change func(*File)
		want   string
	}{
		{"a zero File", func(f *File) { *f = File{} }, "backbone"},
		{"an unknown backbone", func(f *File) { f.Arch.Backbone = "vgg" }, `backbone: got "vgg"`},
		{"an unknown stem", func(f *File) { f.Arch.Stem = "" }, "stem"},
		{"an unknown attention", func(f *File) { f.Arch.Attention = "soft" }, "attention"},
		{"an unknown batch norm", func(f *File) { f.Arch.BatchNorm = "group" }, "batch norm"},
		{"an unknown head", func(f *File) { f.Arch.Head = "none" }, "head"},
		{"no embedding", func(f *File) { f.Arch.EmbeddingDim = 0 }, "embedding dim: got 0"},
		{"a huge embedding", func(f *File) { f.Arch.EmbeddingDim = math.MaxInt }, "embedding dim"},
		{"a classification head without class names", func(f *File) { f.Arch.Head = model.ClassificationHead }, "3 class names, want 6"},
		{"no input", func(f *File) { f.Preprocess.InputSize = 0 }, "input size"},
		{"a resize by 0/0", func(f *File) { f.Preprocess.ResizeNum, f.Preprocess.ResizeDen = 0, 0 }, "resize denominator"},
		{"a resize smaller than the crop", func(f *File) { f.Preprocess.ResizeNum = 6 }, "resize numerator"},
		{"a std of 0", func(f *File) { f.Preprocess.Std[1] = 0 }, "channel 1"},
		{"a mean of NaN", func(f *File) { f.Preprocess.Mean[2] = nan }, "channel 2"},
		{"an empty class name", func(f *File) { f.ClassNames[1] = "" }, "class 1"},
		{"a class name that is not UTF-8", func(f *File) { f.ClassNames[0] = "k\xe9ratose" }, "UTF-8"},
		{"a class name with NUL", func(f *File) { f.ClassNames[0] = "a\x00" }, "NUL"},
		{"no learners", func(f *File) { f.Learners = nil }, "want all 6; neuron 0"},
		{"a learner without neurons", func(f *File) { f.Learners = append(f.Learners, nil) }, "learner 3"},
		{"a neuron in two learners", func(f *File) { f.Learners[2][0] = 4 }, "learner 2: got neuron 4"},
		{"a neuron without a learner", func(f *File) { f.Learners = f.Learners[:2] }, "neuron 3 has no learner"},
		{"a neuron that does not exist", func(f *File) { f.Learners[2][0] = 6 }, "want 0 to 5"},
		{"a negative neuron", func(f *File) { f.Learners[2][0] = -1 }, "want 0 to 5"},
		{"a tensor with NaN", func(f *File) { f.Tensors[1].Data.([]float32)[3] = nan }, `"embed.bias": got NaN at 3`},
		{"a tensor with infinity", func(f *File) { f.Tensors[0].Data.([]float32)[0] = float32(math.Inf(-1)) }, "-Inf at 0"},
		{"a tensor name twice", func(f *File) { f.Tensors[1].Name = "conv1.weight" }, "twice"},
		{"a tensor without a name", func(f *File) { f.Tensors[1].Name = "" }, "0 bytes, want 1"},
		{"a tensor without data", func(f *File) { f.Tensors[1].Data = nil }, "type <nil>"},
		{"a model's tensor of integers", func(f *File) { f.Tensors[1].Data = make([]int32, 6) }, "type []int32"},
		{"a tensor without dimensions", func(f *File) { f.Tensors[1].Shape = nil }, "0 dimensions"},
		{"a tensor of five dimensions", func(f *File) { f.Tensors[1].Shape = []int32{1, 1, 1, 1, 6} }, "5 dimensions"},
		{"a dimension of 0", func(f *File) { f.Tensors[1].Shape = []int32{0} }, "at least 1"},
		{"a negative dimension", func(f *File) { f.Tensors[1].Shape = []int32{-2, -3} }, "at least 1"},
		{"a shape whose product overflows to the right number", func(f *File) { f.Tensors[1].Shape = []int32{1 << 30, 1 << 30, 1 << 30, 6} }, "elements"},
		{"a shape of another size", func(f *File) { f.Tensors[1].Shape = []int32{7} }, "6 elements, want 7"},
		{"a data hash that is a path", func(f *File) { f.Card.DataHash = "/home/a" }, "hexadecimal"},
		{"a text without end", func(f *File) { f.Card.Notes = strings.Repeat("a", maxTextBytes+1) }, "notes"},
		{"a negative count", func(f *File) { f.Card.Splits[0].Value = -1 }, `split "train"`},
		{"a split twice", func(f *File) { f.Card.Splits[0].Name = "test" }, "twice"},
		{"a score of NaN", func(f *File) { f.Card.Scores[0].Values[1] = math.NaN() }, `score "nmi"`},
		{"a checkpoint's empty matrix", func(f *File) { f.Checkpoint.Tensors[5].Shape = []int32{0, 4} }, "at least 1"},
		{"a checkpoint's moment of NaN", func(f *File) { f.Checkpoint.Tensors[0].Data.([]float32)[0] = nan }, "adam.m"},
		{"a checkpoint's counter twice", func(f *File) { f.Checkpoint.Ints[0].Name = "zero" }, "twice"},
		{"a checkpoint's number twice", func(f *File) { f.Checkpoint.Floats[0].Name = "beta" }, "twice"},
		{"a checkpoint's blob twice", func(f *File) { f.Checkpoint.Blobs[0].Name = "nothing" }, "twice"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := smallCheckpoint()
			c.change(f)
			_, err := Encode(f)
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Encode: got %v, want Invalid with %q", err, c.want)
			}
		})
	}
}

func TestExpectNamesTheTensorThatDiffers(t *testing.T) {
	specs := func() []TensorSpec {
		return []TensorSpec{{"embed.bias", []int32{6}}, {"conv1.weight", []int32{2, 3, 1, 1}}}
	}
	cases := []struct {
		name  string
		specs []TensorSpec
		want  string
	}{
		{"all there in another order", specs(), ""},
		{"one missing", append(specs(), TensorSpec{"fc", []int32{1}}), `tensor "fc" is missing`},
		{"one of another shape", []TensorSpec{{"embed.bias", []int32{6, 1}}, specs()[1]}, `tensor "embed.bias": got shape [6], want [6 1]`},
		{"one too many", specs()[:1], `tensor "conv1.weight" is not of this architecture`},
		{"none expected", nil, `tensor "conv1.weight" is not`},
	}
	path := filepath.Join(t.TempDir(), "m.dsl")
	if err := Write(path, smallModel()); err != nil {
		t.Fatal(err)
	}
	f, err := Read(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := f.Expect(c.specs)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"m.dsl"`) {
				t.Errorf("got %v, want Corrupt with %q and the file's name", err, c.want)
			}
		})
	}
}

func TestNamedValuesAreFoundByNameAndType(t *testing.T) {
	f := smallCheckpoint()
	if v, err := Values[float32](f.Tensors, "embed.bias"); err != nil || len(v) != 6 {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := Values[int64](f.Checkpoint.Tensors, "steps"); err != nil || v[1] != math.MaxInt64 {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := f.Checkpoint.Int("epoch"); err != nil || v != 7 {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := f.Checkpoint.Float("beta"); err != nil || v != 1.2 {
		t.Errorf("got %v, %v", v, err)
	}
	if v, err := f.Checkpoint.Blob("options"); err != nil || string(v) != `{"lr":1e-3}` {
		t.Errorf("got %s, %v", v, err)
	}
	_, wrongType := Values[int32](f.Tensors, "embed.bias")
	_, noTensor := Values[float32](f.Tensors, "x")
	_, noInt := f.Checkpoint.Int("x")
	_, noFloat := f.Checkpoint.Float("x")
	_, noBlob := f.Checkpoint.Blob("x")
	for i, err := range []error{wrongType, noTensor, noInt, noFloat, noBlob} {
		if errs.KindOf(err) != errs.Corrupt {
			t.Errorf("case %d: got %v, want Corrupt", i, err)
		}
	}
}
