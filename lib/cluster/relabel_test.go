package cluster

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// cheapest tries every way to give the rows from r on columns of their own, leaving out rows when there are too many.
func cheapest(cost []float64, rows, cols, r int, taken []bool, free int) float64 {
	if r == rows {
		return 0
	}
	best := math.Inf(1)
	if rows-r > free { // more rows than columns left: this one may be left out
		best = cheapest(cost, rows, cols, r+1, taken, free)
	}
	for c := range cols {
		if !taken[c] {
			taken[c] = true
			best = min(best, cost[r*cols+c]+cheapest(cost, rows, cols, r+1, taken, free-1))
			taken[c] = false
		}
	}
	return best
}

func TestAssignEqualsTryingEverything(t *testing.T) {
	r := rng.New(1, "test")
	for trial := range 300 {
		rows, cols := r.IntN(6), r.IntN(6)
		cost := make([]float64, rows*cols)
		for i := range cost {
			cost[i] = float64(r.IntN(21) - 10) // small integers: many ties, both signs
		}
		got, err := Assign(cost, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		var sum float64
		used, matched := map[int]bool{}, 0
		for row, c := range got {
			if c >= 0 {
				sum += cost[row*cols+c]
				used[c] = true
				matched++
			}
		}
		want := cheapest(cost, rows, cols, 0, make([]bool, cols), cols)
		if sum != want || len(used) != matched || matched != min(rows, cols) {
			t.Fatalf("trial %d, %d × %d of %v: got %v of cost %v, want cost %v", trial, rows, cols, cost, got, sum, want)
		}
	}
}

func TestRelabel(t *testing.T) {
	for _, c := range []struct {
		name     string
		old, new []int
		k        int
		want     []int
		moved    int
	}{
		{"no image", nil, nil, 3, []int{}, 0},
		{"one image", []int{2}, []int{0}, 3, []int{2}, 0},
		{"a cycle of three is undone", []int{0, 0, 1, 1, 2, 2}, []int{1, 1, 2, 2, 0, 0}, 3, []int{0, 0, 1, 1, 2, 2}, 0},
		{"the images that must move are counted", []int{0, 0, 0, 1, 1}, []int{1, 1, 0, 0, 0}, 2, []int{0, 0, 1, 1, 1}, 1},
		{"after a growth the left-over cluster is the newest", []int{0, 0, 0, 1, 1, 1}, []int{2, 2, 0, 1, 1, 0}, 3, []int{0, 0, 2, 1, 1, 2}, 2},
		{"the first growth", []int{0, 0, 0, 0, 0}, []int{0, 0, 1, 1, 1}, 2, []int{1, 1, 0, 0, 0}, 2},
		{"images without an old cluster do not count", []int{-1, -1, -1, 1, 0}, []int{0, 0, 0, 0, 1}, 2, []int{1, 1, 1, 1, 0}, 0},
		{"images without a new cluster stay so", []int{0, 1}, []int{-1, 0}, 2, []int{-1, 1}, 0},
		{"without any old cluster nothing changes", []int{-1, -1, -1}, []int{2, 0, 1}, 3, []int{2, 0, 1}, 0},
	} {
		got, moved, err := Relabel(c.old, c.new, c.k)
		if err != nil || !slices.Equal(got, c.want) || moved != c.moved {
			t.Errorf("%s: got %v, %d moved, %v; want %v, %d moved", c.name, got, moved, err, c.want, c.moved)
		}
	}
}

func TestRelabelAndAssignRefuseBadArguments(t *testing.T) {
	for name, f := range map[string]func() error{
		"lengths that differ":   func() error { _, _, err := Relabel([]int{0}, []int{0, 0}, 1); return err },
		"no cluster":            func() error { _, _, err := Relabel(nil, nil, 0); return err },
		"a new cluster beyond":  func() error { _, _, err := Relabel([]int{0}, []int{2}, 2); return err },
		"an old cluster below":  func() error { _, _, err := Relabel([]int{-2}, []int{0}, 2); return err },
		"costs of another size": func() error { _, err := Assign(make([]float64, 3), 2, 2); return err },
		"a negative size":       func() error { _, err := Assign(nil, -1, 0); return err },
		"a NaN cost":            func() error { _, err := Assign([]float64{math.NaN()}, 1, 1); return err },
	} {
		if err := f(); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
	}
}
