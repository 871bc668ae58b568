package backendtest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// M queries, N rows, D numbers of a row, K neighbours or centres.

// arrayCases are shapes: below, at and beyond blocks and tiles.
var arrayCases = []struct{ m, n, d, k int }{
	{1, 1, 1, 1}, {2, 3, 5, 3}, {3, 64, 16, 10}, {65, 130, 33, 64}, {300, 70, 8, 5}, {2, 20_000, 3, 7},
}

// RunArrays is the conformance suite of what a backend does with big arrays: every number against loops in float64.
func RunArrays(t *testing.T, b backend.ArrayBackend) {
	for _, c := range arrayCases {
		t.Run(fmt.Sprintf("%d queries, %d rows of %d, %d neighbours", c.m, c.n, c.d, c.k), func(t *testing.T) {
			r := rng.New(uint64(c.n), "arrays")
			// multiples of an eighth: sums of squares are exact, and many distances equal
			x, queries := grid(r, c.n*c.d), grid(r, c.m*c.d)
			copy(queries, x[:c.d])
			a, err := b.NewArray(x, c.d)
			must(t, err)
			want := squares(queries, x, c.d)
			distances(t, a, queries, want, c.n)
			nearest(t, a, queries, want, c.n, c.k)
			for _, k := range []int{c.k, 1 + c.k/2} { // another number of centres than before
				assigned(t, a, x, grid(r, k*c.d), c.d)
			}
			must(t, a.Close())
		})
	}
	t.Run("bad shapes, cancelling and closing", func(t *testing.T) { arrayErrors(t, b) })
}

func grid(r *rng.Stream, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.IntN(33)-16) / 8
	}
	return out
}

// squares are the squared distances of each row of a to each row of b.
func squares(a, b []float32, d int) []float64 {
	var out []float64
	for i := 0; i < len(a); i += d {
		for j := 0; j < len(b); j += d {
			var sum float64
			for e := range d {
				diff := float64(a[i+e]) - float64(b[j+e])
				sum += diff * diff
			}
			out = append(out, sum)
		}
	}
	return out
}

func distances(t *testing.T, a backend.Array, queries []float32, want []float64, n int) {
	t.Helper()
	got := make([]float32, len(want))
	must(t, a.Distances(context.Background(), queries, got))
	for i, v := range want {
		if float64(got[i]) != v {
			t.Fatalf("distance of query %d to row %d: got %v, want %v", i/n, i%n, got[i], v)
		}
	}
}

func nearest(t *testing.T, a backend.Array, queries []float32, squared []float64, n, k int) {
	t.Helper()
	m := len(squared) / n
	rows, d := make([]int32, m*k), make([]float32, m*k)
	must(t, a.Nearest(context.Background(), queries, k, rows, d))
	for q := range m {
		order := make([]int32, n)
		for i := range order {
			order[i] = int32(i)
		}
		of := squared[q*n : (q+1)*n]
		slices.SortStableFunc(order, func(i, j int32) int { return cmp.Compare(of[i], of[j]) })
		if got := rows[q*k : (q+1)*k]; !slices.Equal(got, order[:k]) {
			t.Fatalf("query %d: got rows %v, want %v", q, got, order[:k])
		}
		for j, row := range order[:k] {
			if got := float64(d[q*k+j]); got != of[row] {
				t.Fatalf("query %d, row %d: got distance %v, want %v", q, row, got, of[row])
			}
		}
	}
}

func assigned(t *testing.T, a backend.Array, x, centres []float32, d int) {
	t.Helper()
	n, k := len(x)/d, len(centres)/d
	copy(centres[(k-1)*d:], centres[:d]) // the first of equals wins
	nearest, distance, sums := make([]int32, n), make([]float32, n), make([]float32, k*d)
	must(t, a.Assign(context.Background(), centres, nearest, distance, sums))
	squared, total := squares(x, centres, d), make([]float64, k*d)
	for i := range n {
		of := squared[i*k : (i+1)*k]
		best := slices.Index(of, slices.Min(of))
		if int(nearest[i]) != best || float64(distance[i]) != of[best] {
			t.Fatalf("%d centres: row %d: got centre %d at %v, want %d at %v", k, i, nearest[i], distance[i], best, of[best])
		}
		for e := range d {
			total[best*d+e] += float64(x[i*d+e])
		}
	}
	for i, v := range total { // multiples of an eighth below 2^17: exact
		if float64(sums[i]) != v {
			t.Fatalf("%d centres: sum %d of centre %d: got %v, want %v", k, i%d, i/d, sums[i], v)
		}
	}
}

func arrayErrors(t *testing.T, b backend.ArrayBackend) {
	for _, x := range [][]float32{nil, {1, 2, 3}} {
		if _, err := b.NewArray(x, 2); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%d numbers in rows of 2: got %v, want %v", len(x), err, errs.Invalid)
		}
	}
	a, err := b.NewArray([]float32{1, 2, 3, 4}, 2)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	one, two, rows := make([]float32, 1), make([]float32, 2), make([]int32, 2)
	for what, err := range map[string]error{
		"a part of a query":       a.Distances(ctx, one, two),
		"room for one distance":   a.Distances(ctx, two, one),
		"no neighbour":            a.Nearest(ctx, two, 0, nil, nil),
		"more neighbours than n":  a.Nearest(ctx, two, 3, make([]int32, 3), make([]float32, 3)),
		"room for one neighbour":  a.Nearest(ctx, two, 2, rows[:1], two),
		"no centre":               a.Assign(ctx, nil, rows, two, nil),
		"room for one assignment": a.Assign(ctx, two, rows[:1], two, two),
		"room for half the sums":  a.Assign(ctx, two, rows, two, one),
	} {
		wantKind(t, what, err, errs.Invalid)
	}
	must(t, a.Distances(ctx, nil, nil))
	must(t, a.Nearest(ctx, nil, 1, nil, nil))
	cancel()
	wantKind(t, "distances, cancelled", a.Distances(ctx, two, two), errs.Cancelled)
	wantKind(t, "neighbours, cancelled", a.Nearest(ctx, two, 2, rows, two), errs.Cancelled)
	wantKind(t, "centres, cancelled", a.Assign(ctx, two, rows, two, two), errs.Cancelled)
	must(t, a.Distances(context.Background(), two, two))
	if want := float32(math.Pow(1, 2) + math.Pow(2, 2)); two[0] != want {
		t.Errorf("afterwards: got %v, want %v", two[0], want)
	}
	must(t, a.Close())
	must(t, a.Close())
	wantKind(t, "after Close", a.Distances(context.Background(), two, two), errs.Invalid)
}
