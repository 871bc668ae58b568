package dsl

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/learner"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
	"libdsl/lib/rng"
)

// untrained is a model for 32×32 pixels.
func untrained(t *testing.T) *Model {
	t.Helper()
	set, err := learner.New(16, 2)
	if err != nil {
		t.Fatal(err)
	}
	a := model.Arch{Backbone: "resnet18", Stem: "small", Attention: model.Gate, EmbeddingDim: 16}
	w, err := model.Init(a, set.Subspaces(), 1)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(&model.Model{Arch: a, Head: model.EmbeddingHead, InputSize: 32, Learners: set, Weights: w}, modelfile.Card{})
	t.Cleanup(func() { m.Close() })
	return m
}

func spots(t *testing.T, n int) []*Image {
	t.Helper()
	r := rng.New(1, "spots")
	out := make([]*Image, n)
	for i := range out {
		pix := make([]uint8, 40*48*3)
		for j := range pix {
			pix[j] = uint8(r.Uint32() >> (24 + i%3))
		}
		var err error
		if out[i], err = imageio.FromArray(pix, imageio.Layout{Height: 40, Width: 48, Channels: 3}, imageio.Window{}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func spotsOf(t *testing.T, split string, n int) *Dataset {
	t.Helper()
	d := NewDataset()
	for _, img := range spots(t, n) {
		if err := d.Add(Sample{Image: img, Split: split}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// embedded are embeddings and a heatmap.
func embedded(t *testing.T, m *Model, precision string) []float32 {
	t.Helper()
	s, err := NewSession(m, SessionOptions{Device: "cpu", Precision: precision, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	images := spots(t, 3)
	out := make([]float32, 3*m.EmbeddingDim()+4*5)
	if err := s.Embed(context.Background(), images, out[:3*m.EmbeddingDim()]); err != nil {
		t.Fatal(err)
	}
	if err := s.Heatmap(context.Background(), images[0], out[3*m.EmbeddingDim():], nil); err != nil {
		t.Fatal(err)
	}
	return out
}

func farthest(a, b []float32) (d float64) {
	for i := range a {
		d = max(d, math.Abs(float64(a[i]-b[i])))
	}
	return d
}

func TestACalibratedModelEmbedsIn8BitsBeforeAndAfterItIsSaved(t *testing.T) {
	m := untrained(t)
	c, err := m.Calibrate(context.Background(), spotsOf(t, "train", 9), CalibrateOptions{Threads: 1, Device: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	plain, eight := embedded(t, m, "f32"), embedded(t, c, "int8")
	if d := farthest(plain, eight); d == 0 || d > 0.03 {
		t.Errorf("int8 is off by up to %v, want some, but not more than 0.03", d)
	}
	if d := farthest(plain, embedded(t, c, "auto")); d != 0 {
		t.Errorf("calibrating changed float32 by %v", d)
	}
	path := filepath.Join(t.TempDir(), "m.dsl")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	if d := farthest(eight, embedded(t, loaded, "int8")); d != 0 {
		t.Errorf("saved and loaded, it is off by %v", d)
	}
	if loaded.net.Identity() != m.net.Identity() {
		t.Error("to an index, the calibrated model is another")
	}
	if info, err := loaded.Info(); err != nil || !strings.Contains(string(info), `"calibrated": true`) {
		t.Errorf("info: got %s, %v", info, err)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	m := untrained(t)
	if _, err := NewSession(m, SessionOptions{Device: "cpu", Precision: "int8"}); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "calibrate") {
		t.Errorf("a model that was not calibrated: got %v, want an Invalid error that says calibrate", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context
		d    *Dataset
		o    CalibrateOptions
		want errs.Kind
	}{
		{"an empty dataset", context.Background(), NewDataset(), CalibrateOptions{}, errs.Invalid},
		{"test images when training ones are asked for", context.Background(), spotsOf(t, "test", 2), CalibrateOptions{}, errs.NotFound},
		{"an unknown split", context.Background(), spotsOf(t, "train", 2), CalibrateOptions{Split: "best"}, errs.Invalid},
		{"a negative number of images", context.Background(), spotsOf(t, "train", 2), CalibrateOptions{NumImages: -1}, errs.Invalid},
		{"threads", context.Background(), spotsOf(t, "train", 2), CalibrateOptions{Threads: -1}, errs.Invalid},
		{"a device", context.Background(), spotsOf(t, "train", 2), CalibrateOptions{Device: "tpu"}, errs.Invalid},
		{"cancelled", cancelled, spotsOf(t, "train", 2), CalibrateOptions{Device: "cpu"}, errs.Cancelled},
	} {
		if _, err := m.Calibrate(c.ctx, c.d, c.o); errs.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want kind %v", c.name, err, c.want)
		}
	}
}

func TestNothingIsTrainedIn8Bits(t *testing.T) {
	o := TrainOptions{OutPath: filepath.Join(t.TempDir(), "m.dsl"), Precision: "int8"}
	if _, err := Train(context.Background(), spotsOf(t, "train", 2), o, nil); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("got %v, want an Unsupported error", err)
	}
}
