package model

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/backend/onednn"
	"libdsl/lib/errs"
)

// measured gives a model the ranges of n noise images.
func measured(t *testing.T, m *Model, be backend.Backend, n int) Ranges {
	t.Helper()
	pixels := noise("calibrate", n*32*32*3)
	r, err := m.MeasureRanges(context.Background(), be, backend.Options{Threads: 1}, n, fillFrom(pixels))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fillFrom(pixels []byte) func(first, count int, dst []byte) error {
	return func(first, count int, dst []byte) error {
		copy(dst, pixels[first*len(dst)/count:])
		return nil
	}
}

func TestEveryFeatureMapHasARangeWhateverMeasuresIt(t *testing.T) {
	m := testModel(t, small)
	r := measured(t, m, goref.Backend{}, 5) // a whole batch and a part of one
	if err := r.Check(small); err != nil {
		t.Fatal(err)
	}
	if len(r) != 1+2*6+2+3 || r["layer1.0.conv2.weight"] <= 0 || r["layer2.0.downsample.0.weight"] <= 0 || r["attention.4.weight"] <= 0 {
		t.Errorf("got %v, want those of the stem, two for each of six blocks, two shortcuts and the attention", r)
	}
	for name, other := range measured(t, m, onednn.Backend{}, 5) {
		if d := math.Abs(float64(other/r[name] - 1)); d > 0.01 {
			t.Errorf("%s: goref measures %v, onednn %v", name, r[name], other)
		}
	}
}

func TestARangeIsTheLargestMagnitude(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		values []float32
		than   float32
		want   float32
	}{{nil, 0, 0}, {nil, 2, 2}, {[]float32{0, -3, 1}, 2, 3}, {[]float32{0, -3, 1}, 4, 4}, {[]float32{1, float32(math.NaN()), 2}, 0, inf}, {[]float32{-inf}, 0, inf}} {
		if got := largest(c.values, c.than); got != c.want {
			t.Errorf("%v, %v: got %v, want %v", c.values, c.than, got, c.want)
		}
	}
	m := testModel(t, small)
	m.Weights["layer1.0.conv1.weight"][0] = float32(math.MaxFloat32)
	m.Weights["layer1.0.bn1.weight"][0] = float32(math.MaxFloat32)
	_, err := m.MeasureRanges(context.Background(), goref.Backend{}, backend.Options{}, 1, fillFrom(noise("x", 32*32*3)))
	if errs.KindOf(err) != errs.Corrupt {
		t.Errorf("a network that overflows: got %v, want a Corrupt error", err)
	}
}

func TestInt8EmbedsAlmostAsFloat32(t *testing.T) {
	for _, stem := range []string{"standard", "small"} {
		a := small
		a.Stem = stem
		m := testModel(t, a)
		m.Ranges = measured(t, m, onednn.Backend{}, 8)
		for _, n := range []int{1, 8, 5} {
			pixels := noise("images", n*32*32*3)
			var out [2][]float32
			for k, be := range []backend.Backend{onednn.Backend{}, onednn.Backend{Int8: true}} {
				s, err := m.NewSession(be, backend.Options{Threads: 2}, false)
				if err != nil {
					t.Fatal(err)
				}
				out[k] = make([]float32, n*12)
				if err := s.Embed(context.Background(), n, fillFrom(pixels), out[k]); err != nil {
					t.Fatal(err)
				}
				s.Close()
			}
			for i := range n {
				dot := 0.0
				for j := range 12 {
					dot += float64(out[0][i*12+j]) * float64(out[1][i*12+j])
				}
				if dot < 0.999 || dot == 1 {
					t.Errorf("%s stem, image %d of %d: cosine of int8 and f32 is %v, want 0.999 or more, and a trace of rounding", stem, i, n, dot)
				}
			}
		}
	}
}

func TestInt8WithoutRangesSaysWhatToDo(t *testing.T) {
	m := testModel(t, small)
	_, err := m.NewSession(onednn.Backend{Int8: true}, backend.Options{Threads: 1}, false)
	if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "calibrate") {
		t.Errorf("got %v, want an Invalid error that says calibrate", err)
	}
}

func TestRangesThatAreNotTheNetworksAreCorrupt(t *testing.T) {
	m := testModel(t, small)
	good := measured(t, m, goref.Backend{}, 1)
	for name, change := range map[string]func(r Ranges){
		"none":                func(r Ranges) { clear(r) },
		"one missing":         func(r Ranges) { delete(r, "conv1.weight") },
		"one too many":        func(r Ranges) { r["layer4.0.conv1.weight"] = 1 },
		"NaN":                 func(r Ranges) { r["conv1.weight"] = float32(math.NaN()) },
		"a negative one":      func(r Ranges) { r["conv1.weight"] = -1 },
		"one without an end":  func(r Ranges) { r["conv1.weight"] = float32(math.Inf(1)) },
		"another one instead": func(r Ranges) { delete(r, "conv1.weight"); r["conv2.weight"] = 1 },
	} {
		m.Ranges = Ranges{}
		for k, v := range good {
			m.Ranges[k] = v
		}
		change(m.Ranges)
		if err := m.Check(); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("%s: got %v, want a Corrupt error", name, err)
		}
	}
	m.Ranges = good
	m.Ranges["conv1.weight"] = 0 // a dead layer
	if err := m.Check(); err != nil {
		t.Errorf("a range of 0: %v", err)
	}
}

func TestMeasuringStopsWithItsImages(t *testing.T) {
	m := testModel(t, small)
	if _, err := m.MeasureRanges(context.Background(), goref.Backend{}, backend.Options{}, 0, nil); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no images: got %v", err)
	}
	broken := errors.New("broken")
	fill := func(int, int, []byte) error { return broken }
	if _, err := m.MeasureRanges(context.Background(), goref.Backend{}, backend.Options{}, 1, fill); !errors.Is(err, broken) {
		t.Errorf("an unreadable image: got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.MeasureRanges(ctx, onednn.Backend{}, backend.Options{Threads: 1}, 1, fillFrom(noise("x", 32*32*3))); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("cancelled: got %v", err)
	}
}
