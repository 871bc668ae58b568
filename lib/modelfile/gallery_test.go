package modelfile

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

func smallGallery() *Gallery {
	return &Gallery{Model: "00ff", Learners: [][]int32{{0, 2}, {1}}, Tensors: []Tensor{
		{"embeddings", []int32{2, 3}, []float32{1, 0, 0, 0, 0.6, 0.8}},
		{"labels", []int32{2}, []int64{-1, 3}},
		{"ids", []int32{4}, []uint8("a\x00b\x00")},
		{"empty", []int32{0}, []int32{}},
	}}
}

func TestAGalleryReadsBackAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gallery.dsl")
	bare := smallGallery()
	bare.Model, bare.Learners = "", nil
	for _, want := range []*Gallery{smallGallery(), bare} {
		if err := WriteGallery(path, want); err != nil {
			t.Fatal(err)
		}
		got, err := ReadGallery(path, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Source() != `modelfile: file "gallery.dsl"` {
			t.Errorf("got the source %s", got.Source())
		}
		if got.source = ""; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestGalleriesThatNoFileCanHold(t *testing.T) {
	for name, change := range map[string]func(*Gallery){
		"a model's name that is no digest": func(g *Gallery) { g.Model = "my model" },
		"a name twice":                     func(g *Gallery) { g.Tensors[1].Name = "embeddings" },
		"a shape that does not fit":        func(g *Gallery) { g.Tensors[0].Shape = []int32{3, 3} },
		"an infinity":                      func(g *Gallery) { g.Tensors[0].Data.([]float32)[0] /= 0 * g.Tensors[0].Data.([]float32)[1] },
	} {
		g := smallGallery()
		change(g)
		if err := WriteGallery(filepath.Join(t.TempDir(), "gallery.dsl"), g); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
	}
}

func TestAModelIsNoGallery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.dsl")
	if err := Write(path, smallModel()); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadGallery(path, Limits{}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v, want an invalid-argument error", err)
	}
}

func TestADamagedGalleryNeverPanics(t *testing.T) {
	body := buildGallery(smallGallery(), 1<<12)
	s := rng.New(3, "damage")
	for range 20_000 {
		damaged := bytes.Clone(body)
		for range 1 + s.IntN(3) {
			damaged[s.IntN(len(body))] = byte(s.Uint32())
		}
		if _, err := parseGallery(damaged); err != nil && errs.KindOf(err) == errs.OK {
			t.Fatal(err)
		}
	}
}

// FuzzGallery gives any bytes to the verifier and to all that trusts it. What is accepted must survive being written and read.
func FuzzGallery(f *testing.F) {
	f.Add(buildGallery(smallGallery(), 1<<12))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := parseGallery(body)
		if err != nil {
			return
		}
		again := buildGallery(g, 1<<12)
		if second, err := parseGallery(again); err != nil || !bytes.Equal(again, buildGallery(second, 1<<12)) {
			t.Fatalf("accepted and built anew, but: %v", err)
		}
	})
}
