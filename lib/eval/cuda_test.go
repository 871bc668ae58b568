package eval

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/cluster"
	"libdsl/lib/errs"
	"libdsl/lib/metric"
	"libdsl/lib/rng"
)

// gpu is the CUDA backend: on the emulated driver, or on a GPU where the tests are told to use one.
func gpu(t *testing.T) backend.ArrayBackend {
	t.Helper()
	emulated.Start(t)
	b, err := cuda.Open(backend.Device{Precision: backend.F32})
	if err != nil {
		t.Fatal(err)
	}
	return b.(backend.ArrayBackend)
}

func TestKMeansOnCUDAIsTheCPUsUpToRounding(t *testing.T) {
	device := gpu(t)
	before := emulated.Live()
	for _, c := range []struct {
		name   string
		x      []float32
		dim, k int
	}{
		{"noise", noise(150 * 7), 7, 4},
		{"separate groups", first(blobs(6, 30, 0.05)), 6, 6},
		{"as many clusters as rows", noise(9 * 3), 3, 9},
		{"one cluster", noise(50), 2, 1},
		{"few distinct rows leave clusters empty", slices.Repeat([]float32{1, 2, 5, 5}, 8), 2, 4},
	} {
		o := cluster.Options{K: c.k, Restarts: 2, Threads: 2}
		want, err := cluster.KMeans(context.Background(), c.x, c.dim, o, rng.New(1, "cuda"))
		if err != nil {
			t.Fatal(err)
		}
		o.Device = device
		got, err := cluster.KMeans(context.Background(), c.x, c.dim, o, rng.New(1, "cuda"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Assignment, want.Assignment) || math.Abs(got.Inertia-want.Inertia) > 1e-5*(1+want.Inertia) {
			t.Errorf("%s: got %v, inertia %v, want %v, %v", c.name, got.Assignment, got.Inertia, want.Assignment, want.Inertia)
		}
		for i, v := range want.Centres {
			if math.Abs(got.Centres[i]-v) > 1e-5 { // float32 sums of up to some hundred numbers of size 1
				t.Errorf("%s: centre %d, column %d: got %v, want %v", c.name, i/c.dim, i%c.dim, got.Centres[i], v)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := cluster.KMeans(ctx, noise(20), 2, cluster.Options{K: 2, Device: device}, rng.New(1, "cuda")); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("cancelled: got %v", err)
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

func TestScoresOnCUDAAreTheCPUs(t *testing.T) {
	device := gpu(t)
	before := emulated.Live()
	x, labels := blobs(5, 14, 0.6)
	groups := make([]int64, len(labels))
	for i := range groups {
		groups[i] = int64(i / 4)
	}
	want, err := Score(context.Background(), x, 5, labels, groups, metric.Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Score(context.Background(), x, 5, labels, groups, metric.Options{Device: device, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]float64{
		"NMI": {got.NMI, want.NMI}, "AMI": {got.AMI, want.AMI},
		"recall@1":                      {got.SelfExcluded.Micro.RecallAtK[0], want.SelfExcluded.Micro.RecallAtK[0]},
		"MAP@R":                         {got.SelfExcluded.Macro.MAPAtR, want.SelfExcluded.Macro.MAPAtR},
		"R-precision without the group": {got.GroupExcluded.Micro.RPrecision, want.GroupExcluded.Micro.RPrecision},
	} {
		if math.Abs(pair[0]-pair[1]) > 1e-9 { // the same ranks: no two distances are so near that rounding decides
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
	if got.GroupExcluded.Dropped != want.GroupExcluded.Dropped || got.Images != want.Images {
		t.Errorf("got %+v, want %+v", got, want)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := metric.Retrieve(ctx, x, 5, labels, nil, metric.Options{Device: device}); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("cancelled: got %v", err)
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

func noise(n int) []float32 {
	r := rng.New(5, "noise")
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func first[T, U any](v T, _ U) T { return v }
