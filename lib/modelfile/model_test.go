package modelfile

import (
	"context"
	"maps"
	"slices"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/onednn"
	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/model"
)

// network is a small untrained model.
func network(t *testing.T) *model.Model {
	t.Helper()
	set, err := learner.New(12, 2)
	if err != nil {
		t.Fatal(err)
	}
	a := model.Arch{Backbone: "resnet18", Stem: "small", Attention: model.Gate, EmbeddingDim: 12}
	w, err := model.Init(a, set.Subspaces(), 4)
	if err != nil {
		t.Fatal(err)
	}
	return &model.Model{Arch: a, Head: model.EmbeddingHead, InputSize: 64, ClassNames: []string{"a", "b"}, Learners: set, Weights: w}
}

func TestAModelComesBackFromItsFile(t *testing.T) {
	want := network(t)
	f, err := FromModel(want, Card{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Model()
	if err != nil {
		t.Fatal(err)
	}
	if got.Arch != want.Arch || got.InputSize != 64 || !slices.Equal(got.ClassNames, want.ClassNames) ||
		!slices.EqualFunc(got.Learners.Subspaces(), want.Learners.Subspaces(), slices.Equal) {
		t.Errorf("got %+v", got)
	}
	for name, w := range want.Weights {
		if !slices.Equal(got.Weights[name], w) {
			t.Errorf("tensor %q differs", name)
		}
	}
}

func TestRangesComeBackFromTheFile(t *testing.T) {
	want := calibratedNetwork(t)
	f, err := FromModel(want, Card{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Model()
	if err != nil || !maps.Equal(got.Ranges, want.Ranges) {
		t.Errorf("got %v, %v, want %v", got, err, want.Ranges)
	}
	f.Ranges = f.Ranges[1:]
	if _, err := f.Model(); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("a range missing: got %v, want a Corrupt error", err)
	}
	f.Ranges = nil
	if got, err := f.Model(); err != nil || got.Ranges != nil {
		t.Errorf("no ranges: got %v, %v", got.Ranges, err)
	}
}

// calibratedNetwork has the ranges of one gray image.
func calibratedNetwork(t *testing.T) *model.Model {
	m := network(t)
	defer m.Close()
	var err error
	m.Ranges, err = m.MeasureRanges(context.Background(), onednn.Backend{}, backend.Options{Threads: 1}, 1, func(_, _ int, dst []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAFileThatIsNoModelIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(f *File)
		want   errs.Kind
	}{
		{"a classification head with fewer classes than outputs", func(f *File) { f.Arch.Head = model.ClassificationHead }, errs.Corrupt},
		{"another mean", func(f *File) { f.Preprocess.Mean[0] = 0.5 }, errs.Unsupported},
		{"images of one pixel", func(f *File) { f.Preprocess.InputSize = 1 }, errs.Corrupt},
		{"more dimensions than weights", func(f *File) { f.Arch.EmbeddingDim = 13 }, errs.Corrupt},
		{"an unknown backbone", func(f *File) { f.Arch.Backbone = "vgg" }, errs.Corrupt},
		{"a missing tensor", func(f *File) { f.Tensors = f.Tensors[1:] }, errs.Corrupt},
		{"a neuron without a learner", func(f *File) { f.Learners = f.Learners[:1] }, errs.Corrupt},
		{"a negative variance", func(f *File) {
			for _, x := range f.Tensors {
				if x.Name == "bn1.running_var" {
					x.Data.([]float32)[0] = -1
				}
			}
		}, errs.Corrupt},
	} {
		f, err := FromModel(network(t), Card{})
		if err != nil {
			t.Fatal(err)
		}
		c.change(f)
		if _, err := f.Model(); errs.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want kind %v", c.name, err, c.want)
		}
	}
}
