package index

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

// gpu is the CUDA backend: on the emulated driver, or on a GPU where the tests are told to use one.
func gpu(t *testing.T) backend.ArrayBackend {
	t.Helper()
	emulated.Start(t)
	b, err := cuda.Open(backend.Device{Precision: backend.F32})
	must(t, err)
	return b.(backend.ArrayBackend)
}

func TestSearchOnCUDAEqualsTheCPUs(t *testing.T) {
	device := gpu(t)
	before := emulated.Live()
	for _, c := range []struct {
		name               string
		rows               func(name string, n, dim int) []float32
		n, queries, dim, k int
		learner            int
	}{
		{"a few rows", normalRows, 30, 5, 6, 3, AllLearners},
		{"one row", normalRows, 1, 2, 6, 3, AllLearners},
		{"many equally similar rows", coarseRows, 200, 6, 4, 10, AllLearners},
		{"a learner, with rows of zeros", coarseRows, 150, 6, 4, 10, 1},
		{"more neighbours than a device finds", normalRows, 200, 5, 6, 100, AllLearners},
	} {
		x := newIndex(t, c.dim, 2, Items{Embeddings: c.rows("gallery", c.n, c.dim)})
		var groups []string
		for q := range c.queries {
			groups = append(groups, fmt.Sprint(q%3))
		}
		for _, s := range []Search{{K: c.k, Learner: c.learner}, {K: c.k, Learner: c.learner, IDs: numbered(0, c.queries), Groups: groups}} {
			queries := c.rows("queries", c.queries, c.dim)
			want, err := x.Search(context.Background(), queries, s)
			must(t, err)
			s.Device = device
			for range 2 { // the second time with the device's copy
				got, err := x.Search(context.Background(), queries, s)
				must(t, err)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s: got %v, want %v", c.name, got.Rows, want.Rows)
				}
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if _, err := x.Search(ctx, queries, s); errs.KindOf(err) != errs.Cancelled {
				t.Errorf("%s: got %v, want a cancelled error", c.name, err)
			}
		}
		must(t, x.Close())
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

func TestRowsThatAreAddedReachTheDevice(t *testing.T) {
	device := gpu(t)
	x, before := newIndex(t, 2, 0, Items{Embeddings: []float32{1, 0}}), emulated.Live()
	s := Search{K: 1, Learner: AllLearners, Device: device}
	for _, want := range []int64{0, 1} {
		got, err := x.Search(context.Background(), []float32{0, 1}, s)
		must(t, err)
		if got.Rows[0] != want {
			t.Errorf("got row %d, want %d", got.Rows[0], want)
		}
		if !emulated.Real() && maps.Equal(emulated.Live(), before) {
			t.Error("the device holds no rows")
		}
		must(t, x.Add(Items{Embeddings: []float32{0, 1}}))
	}
	must(t, x.Close())
	must(t, x.Close())
}
