package index

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/modelfile"
)

func TestAnIndexReadsBackAsItWasWritten(t *testing.T) {
	for _, c := range []struct {
		name     string
		dim      int
		learners int
		it       Items
	}{
		{"without rows", 3, 0, Items{}},
		{"without rows, with learners", 4, 2, Items{}},
		{"numbered rows", 3, 0, Items{Embeddings: normalRows("a", 5, 3)}},
		{"all there is", 4, 2, Items{Embeddings: normalRows("b", 3, 4), IDs: IDs{Texts: []string{"", "kératose/1.jpg", "x"}},
			Labels: []int64{2, NoLabel, 0}, Groups: []string{"", "p1", ""}}},
	} {
		x := newIndex(t, c.dim, c.learners, c.it)
		x.opt.Model = "00ff"
		path := filepath.Join(t.TempDir(), "gallery.dsl")
		must(t, x.Write(path))
		got, err := Read(path)
		must(t, err)
		if got.Len() != x.Len() || got.Dim() != x.Dim() || got.NumLearners() != x.NumLearners() || got.Model() != "00ff" || got.TextIDs() != x.TextIDs() {
			t.Errorf("%s: got %d rows of %d, %d learners, model %q", c.name, got.Len(), got.Dim(), got.NumLearners(), got.Model())
		}
		for i := range x.Len() {
			a, _ := x.Item(i)
			if b, err := got.Item(i); err != nil || a != b {
				t.Errorf("%s: row %d: got %v, %v, want %v", c.name, i, b, err, a)
			}
		}
		s := Search{K: 3, Learner: c.learners - 1}
		want, err := x.Search(context.Background(), normalRows("q", 2, c.dim), s)
		must(t, err)
		if found, err := got.Search(context.Background(), normalRows("q", 2, c.dim), s); err != nil || !reflect.DeepEqual(found, want) {
			t.Errorf("%s: got other neighbours, %v", c.name, err)
		}
	}
}

func TestFilesThatAreNoIndex(t *testing.T) {
	folder := t.TempDir()
	if _, err := Read(filepath.Join(folder, "none.dsl")); errs.KindOf(err) != errs.NotFound {
		t.Errorf("no file: got %v", err)
	}
	path := filepath.Join("..", "..", "tests", "golden", "models", "v1.dsl")
	if _, err := Read(path); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), `"v1.dsl"`) {
		t.Errorf("a model: got %v", err)
	}
	x := newIndex(t, 3, 0, Items{Embeddings: normalRows("a", 5, 3)})
	path = filepath.Join(folder, "gallery.dsl")
	must(t, x.Write(path))
	if _, err := modelfile.Read(path, modelfile.Limits{}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("an index as a model: got %v", err)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	for n := range data {
		must(t, os.WriteFile(path, data[:n], 0o600))
		if _, err := Read(path); errs.KindOf(err) != errs.Corrupt {
			t.Fatalf("the first %d of %d bytes: got %v, want a corrupt file", n, len(data), err)
		}
	}
}

func TestGalleriesThatMakeNoSenseAreCorrupt(t *testing.T) {
	type tensors = map[string]modelfile.Tensor
	good := func() tensors {
		return tensors{
			dimTensor:        {Shape: []int32{1}, Data: []int32{2}},
			embeddingsTensor: {Shape: []int32{2, 2}, Data: []float32{1, 0, 0.6, 0.8}},
			labelsTensor:     {Shape: []int32{2}, Data: []int64{-1, 5}},
			groupsTensor:     {Shape: []int32{4}, Data: []uint8("a\x00b\x00")},
			textsTensor:      {Shape: []int32{4}, Data: []uint8("x\x00y\x00")},
		}
	}
	for name, change := range map[string]func(tensors, *modelfile.Gallery){
		"":             func(tensors, *modelfile.Gallery) {}, // is sound
		"no dimension": func(t tensors, _ *modelfile.Gallery) { delete(t, dimTensor) },
		"two dimensions": func(t tensors, _ *modelfile.Gallery) {
			t[dimTensor] = modelfile.Tensor{Shape: []int32{2}, Data: []int32{2, 2}}
		},
		"a dimension of 0": func(t tensors, _ *modelfile.Gallery) {
			t[dimTensor] = modelfile.Tensor{Shape: []int32{1}, Data: []int32{0}}
		},
		"another dimension": func(t tensors, _ *modelfile.Gallery) {
			t[dimTensor] = modelfile.Tensor{Shape: []int32{1}, Data: []int32{4}}
		},
		"no rows": func(t tensors, _ *modelfile.Gallery) { delete(t, embeddingsTensor) },
		"rows of another type": func(t tensors, _ *modelfile.Gallery) {
			t[embeddingsTensor] = modelfile.Tensor{Shape: []int32{4}, Data: []int32{1, 0, 0, 1}}
		},
		"a row of length 2": func(t tensors, _ *modelfile.Gallery) { t[embeddingsTensor].Data.([]float32)[0] = 2 },
		"a row of zeros":    func(t tensors, _ *modelfile.Gallery) { t[embeddingsTensor].Data.([]float32)[0] = 0 },
		"a label of -2":     func(t tensors, _ *modelfile.Gallery) { t[labelsTensor].Data.([]int64)[1] = -2 },
		"a label too few": func(t tensors, _ *modelfile.Gallery) {
			t[labelsTensor] = modelfile.Tensor{Shape: []int32{1}, Data: []int64{1}}
		},
		"no groups": func(t tensors, _ *modelfile.Gallery) { delete(t, groupsTensor) },
		"a group too few": func(t tensors, _ *modelfile.Gallery) {
			t[groupsTensor] = modelfile.Tensor{Shape: []int32{2}, Data: []uint8("a\x00")}
		},
		"a group without its end": func(t tensors, _ *modelfile.Gallery) {
			t[groupsTensor] = modelfile.Tensor{Shape: []int32{5}, Data: []uint8("a\x00b\x00c")}
		},
		"an id that is not UTF-8": func(t tensors, _ *modelfile.Gallery) { t[textsTensor].Data.([]uint8)[0] = 0xff },
		"an id that is too long": func(t tensors, _ *modelfile.Gallery) {
			t[textsTensor] = modelfile.Tensor{Shape: []int32{1028}, Data: []uint8("x\x00" + strings.Repeat("y", 1025) + "\x00")}
		},
		"no ids": func(t tensors, _ *modelfile.Gallery) { delete(t, textsTensor) },
		"a number too few": func(t tensors, _ *modelfile.Gallery) {
			delete(t, textsTensor)
			t[numbersTensor] = modelfile.Tensor{Shape: []int32{1}, Data: []int64{1}}
		},
		"ids of both kinds": func(t tensors, _ *modelfile.Gallery) {
			t[numbersTensor] = modelfile.Tensor{Shape: []int32{2}, Data: []int64{1, 2}}
		},
		"a tensor nobody knows": func(t tensors, _ *modelfile.Gallery) {
			t["more"] = modelfile.Tensor{Shape: []int32{1}, Data: []int64{1}}
		},
		"a neuron of two learners": func(_ tensors, g *modelfile.Gallery) { g.Learners = [][]int32{{0}, {0, 1}} },
		"a neuron out of range":    func(_ tensors, g *modelfile.Gallery) { g.Learners = [][]int32{{0}, {2}} },
	} {
		g, parts := &modelfile.Gallery{Learners: [][]int32{{1}, {0}}}, good()
		change(parts, g)
		for name, tensor := range parts {
			tensor.Name = name
			g.Tensors = append(g.Tensors, tensor)
		}
		path := filepath.Join(t.TempDir(), "gallery.dsl")
		must(t, modelfile.WriteGallery(path, g))
		want := errs.Corrupt
		if name == "" {
			want = errs.OK
		}
		if _, err := Read(path); errs.KindOf(err) != want {
			t.Errorf("%q: got %v, want %v", name, err, want)
		}
	}
}
