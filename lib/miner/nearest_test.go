package miner

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/rng"
)

// onLine places images on a line and returns their distances.
func onLine(t *testing.T, at ...float32) *distance.Matrix {
	t.Helper()
	var m distance.Matrix
	if err := m.Compute(at, 1); err != nil {
		t.Fatal(err)
	}
	return &m
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		name      string
		at        []float32
		labels    []int64
		positives []Pair
		negatives []Pair
	}{
		{"one image gives nothing", []float32{0}, []int64{0}, nil, nil},
		{"one class gives positives only", []float32{0, 1}, []int64{3, 3}, []Pair{{0, 1}, {1, 0}}, nil},
		{"anchors without a positive get no negative", []float32{0, 1}, []int64{0, 1}, nil, nil},
		{"the nearest from 0.5 on is taken, not a nearer one", []float32{0, 0, 0.25, 0.75, 2}, []int64{0, 0, 1, 2, 3},
			[]Pair{{0, 1}, {1, 0}}, []Pair{{0, 3}, {1, 3}}},
		{"the farthest below 0.5 fills up", []float32{0, 0, 0, 0.125, 0.25, 4}, []int64{0, 0, 0, 1, 2, 3},
			[]Pair{{0, 1}, {0, 2}, {1, 0}, {1, 2}, {2, 0}, {2, 1}},
			[]Pair{{0, 5}, {0, 4}, {1, 5}, {1, 4}, {2, 5}, {2, 4}}},
		{"ties go to the lowest row, near", []float32{0, 0, 1, -1, 1}, []int64{0, 0, 1, 2, 3},
			[]Pair{{0, 1}, {1, 0}}, []Pair{{0, 2}, {1, 2}}},
		{"ties go to the lowest row, far", []float32{0, 0, 0.25, -0.25}, []int64{0, 0, 1, 2},
			[]Pair{{0, 1}, {1, 0}}, []Pair{{0, 2}, {1, 2}}},
		{"too few negatives give fewer", []float32{0, 0, 0, 1}, []int64{0, 0, 0, 1},
			[]Pair{{0, 1}, {0, 2}, {1, 0}, {1, 2}, {2, 0}, {2, 1}}, []Pair{{0, 3}, {1, 3}, {2, 3}}},
	} {
		var m Nearest
		var p Pairs
		if err := m.Mine(onLine(t, c.at...), c.labels, &p); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !slices.Equal(p.Positives, c.positives) || !slices.Equal(p.Negatives, c.negatives) {
			t.Errorf("%s: got %v, want %v and %v", c.name, p, c.positives, c.negatives)
		}
	}
}

// naive sorts all negatives of each anchor.
func naive(d *distance.Matrix, labels []int64) (p Pairs) {
	for a := range labels {
		var near, far []int
		want := 0
		for o := range labels {
			switch {
			case o != a && labels[o] == labels[a]:
				p.Positives = append(p.Positives, Pair{a, o})
				want++
			case labels[o] != labels[a] && d.Row(a)[o] >= 0.5:
				near = append(near, o)
			case labels[o] != labels[a]:
				far = append(far, o)
			}
		}
		slices.SortStableFunc(near, func(i, j int) int { return cmp.Compare(d.Row(a)[i], d.Row(a)[j]) })
		slices.SortStableFunc(far, func(i, j int) int { return cmp.Compare(d.Row(a)[j], d.Row(a)[i]) })
		all := append(near, far...)
		for _, o := range all[:min(want, len(all))] {
			p.Negatives = append(p.Negatives, Pair{a, o})
		}
	}
	return p
}

func TestNearestEqualsSortingEverything(t *testing.T) {
	r := rng.New(1, "test")
	var m Nearest // reused, as in training
	var p Pairs
	for trial := range 50 {
		n := 1 + r.IntN(40)
		x, labels := make([]float32, n*2), make([]int64, n)
		for i := range x {
			x[i] = float32(r.IntN(9)) / 8 // a coarse grid: many ties, distances on both sides of 0.5
		}
		for i := range labels {
			labels[i] = int64(r.IntN(4))
		}
		var d distance.Matrix
		if err := d.Compute(x, 2); err != nil {
			t.Fatal(err)
		}
		if err := m.Mine(&d, labels, &p); err != nil {
			t.Fatal(err)
		}
		want := naive(&d, labels)
		if !slices.Equal(p.Positives, want.Positives) || !slices.Equal(p.Negatives, want.Negatives) {
			t.Fatalf("trial %d: got %v, want %v", trial, p, want)
		}
	}
}

func TestNearestAllocatesNothingInSteadyState(t *testing.T) {
	at, labels := make([]float32, 64), make([]int64, 64)
	for i := range at {
		at[i], labels[i] = float32(math.Sin(float64(i))), int64(i%8)
	}
	d := onLine(t, at...)
	var m Nearest
	var p Pairs
	if allocs := testing.AllocsPerRun(10, func() { _ = m.Mine(d, labels, &p) }); allocs != 0 {
		t.Fatalf("got %v allocations a run, want 0", allocs)
	}
}
