package model

import (
	"context"
	"maps"
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
)

// A batch that is more than half full is padded: nothing is compiled or captured again for it.
func TestARaggedBatchOnCUDARunsTheGraphOfAFullOne(t *testing.T) {
	emulated.Start(t)
	be, err := cuda.Open(backend.Device{Precision: backend.F32})
	if err != nil {
		t.Fatal(err)
	}
	m := testModel(t, small)
	s, err := m.NewSession(be, backend.Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const full, dim = 8, 12
	images := noise("images", full*32*32*3)
	embed := func(n int) []float32 {
		out := make([]float32, n*dim)
		err := s.Embed(context.Background(), n, func(first, count int, dst []byte) error {
			copy(dst, images[first*len(dst)/count:])
			return nil
		}, out)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := embed(full)
	prog, handles := s.runner.cache[0].prog, emulated.Live()
	for _, n := range []int{5, full, 7} {
		for i, v := range embed(n) {
			if math.Abs(float64(v-want[i])) > 1e-5 {
				t.Fatalf("%d images: number %d: got %v, want %v", n, i, v, want[i])
			}
		}
		if len(s.runner.cache) != 1 || s.runner.cache[0].prog != prog || !maps.Equal(emulated.Live(), handles) {
			t.Errorf("%d images: %d programs and %v, want one program and %v", n, len(s.runner.cache), emulated.Live(), handles)
		}
	}
}
