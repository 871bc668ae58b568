package miner

import (
	"cmp"
	"slices"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

func TestSemiHard(t *testing.T) {
	for _, c := range []struct {
		name   string
		at     []float32
		labels []int64
		want   []Triplet
	}{
		{"one image gives nothing", []float32{0}, []int64{0}, nil},
		{"one class gives nothing", []float32{0, 1, 2}, []int64{3, 3, 3}, nil},
		{"no two images of a class give nothing", []float32{0, 1}, []int64{0, 1}, nil},
		{"the nearest negative beyond the positive is taken, not a nearer one", []float32{0, 1, 0.5, 3, 4}, []int64{0, 0, 1, 2, 3},
			[]Triplet{{0, 1, 3}, {1, 0, 3}}},
		{"a negative as far as the positive is not beyond it", []float32{0, 1, -1, 3}, []int64{0, 0, 1, 2},
			[]Triplet{{0, 1, 3}, {1, 0, 2}}},
		{"without a negative beyond the positive the farthest is taken", []float32{0, 4, 1, 2}, []int64{0, 0, 1, 2},
			[]Triplet{{0, 1, 3}, {1, 0, 2}}},
		{"ties go to the lowest row", []float32{0, 0, 1, -1, 1}, []int64{0, 0, 1, 2, 3}, []Triplet{{0, 1, 2}, {1, 0, 2}}},
	} {
		var m SemiHard
		var got []Triplet
		if err := m.Mine(onLine(t, c.at...), c.labels, &got); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// naiveSemiHard looks at every negative of every ordered pair.
func naiveSemiHard(d *distance.Matrix, labels []int64) (all []Triplet) {
	for a := range labels {
		for p := range labels {
			if p == a || labels[p] != labels[a] {
				continue
			}
			best, farthest := -1, -1
			for n := range labels {
				if labels[n] == labels[a] {
					continue
				}
				dn := d.Row(a)[n]
				if dn > d.Row(a)[p] && (best < 0 || dn < d.Row(a)[best]) {
					best = n
				}
				if farthest < 0 || dn > d.Row(a)[farthest] {
					farthest = n
				}
			}
			if best < 0 {
				best = farthest
			}
			if best >= 0 {
				all = append(all, Triplet{a, p, best})
			}
		}
	}
	return all
}

func TestSemiHardEqualsLookingAtEveryTriplet(t *testing.T) {
	r := rng.New(2, "test")
	var m SemiHard // reused, as in training
	var got []Triplet
	for trial := range 50 {
		n := 1 + r.IntN(40)
		x, labels := make([]float32, n*2), make([]int64, n)
		for i := range x {
			x[i] = float32(r.IntN(9)) / 8 // a coarse grid: many ties
		}
		for i := range labels {
			labels[i] = int64(r.IntN(4))
		}
		var d distance.Matrix
		if err := d.Compute(x, 2); err != nil {
			t.Fatal(err)
		}
		if err := m.Mine(&d, labels, &got); err != nil {
			t.Fatal(err)
		}
		sorted := slices.SortedFunc(slices.Values(got), func(a, b Triplet) int {
			return cmp.Or(a.Anchor-b.Anchor, a.Positive-b.Positive)
		})
		if want := naiveSemiHard(&d, labels); !slices.Equal(sorted, want) {
			t.Fatalf("trial %d: got %v, want %v", trial, sorted, want)
		}
	}
}

func TestSemiHardRefusesLabelsOfAnotherBatch(t *testing.T) {
	var m SemiHard
	if err := m.Mine(onLine(t, 0, 1), []int64{1}, new([]Triplet)); errs.KindOf(err) != errs.Invalid {
		t.Fatalf("got %v, want an invalid-argument error", err)
	}
}

func TestSemiHardAllocatesNothingInSteadyState(t *testing.T) {
	d, labels := onLine(t, make([]float32, 64)...), make([]int64, 64)
	for i := range labels {
		labels[i] = int64(i % 8)
	}
	var m SemiHard
	var got []Triplet
	if allocs := testing.AllocsPerRun(10, func() { _ = m.Mine(d, labels, &got) }); allocs != 0 {
		t.Fatalf("got %v allocations a run, want 0", allocs)
	}
}
