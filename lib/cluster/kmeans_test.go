package cluster

import (
	"context"
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/internal/simd"
	"libdsl/lib/rng"
)

func kmeans(t *testing.T, x []float32, dim int, opt Options) *Result {
	t.Helper()
	r, err := KMeans(context.Background(), x, dim, opt, rng.New(1, "kmeans"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func startLloyd(t *testing.T, x []float32, dim int, opt Options) *lloyd {
	t.Helper()
	l, err := newLloyd(context.Background(), x, dim, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// squared is the squared distance of row i to centre c.
func squared(x []float32, dim, i int, centres []float64, c int) (sum float64) {
	for j := range dim {
		v := float64(x[i*dim+j]) - centres[c*dim+j]
		sum += v * v
	}
	return sum
}

func TestKMeansEndsAtAFixedPointOfTheNaiveLoops(t *testing.T) {
	defer simd.Builds()[0].Use()
	for _, b := range simd.Builds() {
		b.Use()
		t.Run(b.Name()+", few rows", func(t *testing.T) { checkFixedPoint(t, 300, 5, 4) })
		t.Run(b.Name()+", several sums of rows", func(t *testing.T) { checkFixedPoint(t, 2*rowsPerSum+100, 3, 3) })
		t.Run(b.Name()+", more clusters than are summed at once", func(t *testing.T) { checkFixedPoint(t, 2*rowsPerSum+100, 7, mostSummed+8) })
	}
}

func checkFixedPoint(t *testing.T, n, dim, k int) {
	x := normalRows(1, n, dim)
	r := kmeans(t, x, dim, Options{K: k})
	var inertia float64
	sums, counts := make([]float64, k*dim), make([]float64, k)
	for i := range n {
		best := 0
		for c := range k {
			if squared(x, dim, i, r.Centres, c) < squared(x, dim, i, r.Centres, best) {
				best = c
			}
		}
		if r.Assignment[i] != best {
			t.Errorf("row %d: got cluster %d, want the nearest, %d", i, r.Assignment[i], best)
		}
		inertia += squared(x, dim, i, r.Centres, best)
		counts[best]++
		for j := range dim {
			sums[best*dim+j] += float64(x[i*dim+j])
		}
	}
	for i, v := range sums {
		if mean := v / counts[i/dim]; math.Abs(mean-r.Centres[i]) > 1e-12 {
			t.Errorf("centre %d, column %d: got %v, want the mean %v", i/dim, i%dim, r.Centres[i], mean)
		}
	}
	if math.Abs(r.Inertia-inertia) > 1e-9*inertia || r.Iterations < 2 {
		t.Errorf("got inertia %v in %d iterations, want %v", r.Inertia, r.Iterations, inertia)
	}
}

func TestKMeansFindsSeparateGroups(t *testing.T) {
	x := normalRows(2, 60, 3)
	for i := range x {
		x[i] = x[i]/10 + float32(5*(i/3%3)*((i%3)+1)) // group i%3 of the rows, far apart
	}
	r := kmeans(t, x, 3, Options{K: 3})
	for i, c := range r.Assignment {
		if c != r.Assignment[i%3] {
			t.Errorf("row %d: got cluster %d, want that of row %d, %d", i, c, i%3, r.Assignment[i%3])
		}
	}
	if r.Assignment[0] == r.Assignment[1] || r.Assignment[1] == r.Assignment[2] || r.Assignment[0] == r.Assignment[2] {
		t.Errorf("got %v for the three groups", r.Assignment[:3])
	}
}

func TestKMeansDoesNotDependOnThreads(t *testing.T) {
	x := normalRows(3, 500, 17)
	want := kmeans(t, x, 17, Options{K: 5, Threads: 1})
	for _, threads := range []int{2, 3, 8} {
		got := kmeans(t, x, 17, Options{K: 5, Threads: threads})
		if got.Inertia != want.Inertia || !slices.Equal(got.Assignment, want.Assignment) || !slices.Equal(got.Centres, want.Centres) {
			t.Errorf("%d threads: got inertia %v, want %v, bit for bit", threads, got.Inertia, want.Inertia)
		}
	}
}

func TestMoreRestartsAndIterationsAreNeverWorse(t *testing.T) {
	x := normalRows(4, 200, 2)
	one := kmeans(t, x, 2, Options{K: 9, Restarts: 1})
	five := kmeans(t, x, 2, Options{K: 9, Restarts: 20})
	short := kmeans(t, x, 2, Options{K: 9, Restarts: 1, MaxIter: 2})
	if five.Inertia >= one.Inertia || short.Inertia <= one.Inertia || short.Iterations != 2 {
		t.Errorf("got inertia %v for 20 restarts, %v for one, %v for one of %d iterations", five.Inertia, one.Inertia, short.Inertia, short.Iterations)
	}
}

func TestKMeansAtTheEdges(t *testing.T) {
	same := slices.Repeat([]float32{1, 2}, 6)
	for _, c := range []struct {
		name    string
		x       []float32
		k, used int
	}{
		{"one row", []float32{3, 4}, 1, 1},
		{"as many clusters as rows", []float32{0, 0, 1, 1, 2, 5, 9, 9}, 4, 4},
		{"equal rows leave clusters empty", same, 3, 1},
		{"two distinct rows fill two clusters", append(slices.Clone(same), 5, 5), 3, 2},
	} {
		r := kmeans(t, c.x, 2, Options{K: c.k})
		used := map[int]bool{}
		for _, id := range r.Assignment {
			used[id] = true
		}
		if len(used) != c.used || r.Inertia > 1e-12 {
			t.Errorf("%s: got %v, inertia %v, want %d clusters in use and inertia 0", c.name, r.Assignment, r.Inertia, c.used)
		}
	}
}

func TestAnEmptyClusterTakesTheFarthestRow(t *testing.T) {
	// centre 1 lies beyond all rows: its cluster is empty after the first assignment
	l := startLloyd(t, []float32{0, 1, 7, -7}, 1, Options{K: 2})
	copy(l.centres, []float64{0, 100})
	l.cnorms[1] = 100 * 100
	if err := l.assignRows(); err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 0, 1, 0}; !slices.Equal(l.assign, want) || l.near[2] != 0 {
		t.Fatalf("got %v, want %v: the lowest of the two farthest rows moves", l.assign, want)
	}
}

func TestARowThatFillsAClusterLeavesTheSumOfItsOwn(t *testing.T) {
	l := startLloyd(t, []float32{0, 1, 8, 1e30}, 1, Options{K: 2})
	copy(l.centres, []float64{0, -1e30}) // far from all rows
	l.cnorms[1] = 1e60
	if err := l.assignRows(); err != nil {
		t.Fatal(err)
	}
	if err := l.moveCentres(); err != nil {
		t.Fatal(err)
	}
	if want := []float64{3, float64(float32(1e30))}; !slices.Equal(l.centres, want) {
		t.Fatalf("got centres %v, want %v", l.centres, want)
	}
}

func TestFillingAClusterEmptiesNoOther(t *testing.T) {
	// centre 2 gets no row; the row farthest from its centre, 60, is alone with centre 50, so that 1 moves
	l := startLloyd(t, []float32{0, 1, 60}, 1, Options{K: 3})
	copy(l.centres, []float64{0, 50, 1000})
	l.cnorms[1], l.cnorms[2] = 50*50, 1000*1000
	if err := l.assignRows(); err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 2, 1}; !slices.Equal(l.assign, want) {
		t.Fatalf("got %v, want %v", l.assign, want)
	}
}

func TestSeedsAreDrawnInProportionToTheSquaredDistance(t *testing.T) {
	// after a first seed at 0, the rows 1 and 2 have the weights 1 and 4
	stream, twos, others := rng.New(1, "seed"), 0, 0
	l := startLloyd(t, append(make([]float32, 98), 1, 2), 1, Options{K: 2})
	for range 2000 {
		if err := l.seed(stream); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.centres[0] != 0: // a rare first seed
		case l.centres[1] == 2:
			twos++
		default:
			others++
		}
	}
	// five standard deviations of 2000 draws of probability 0.8
	if share := float64(twos) / float64(twos+others); math.Abs(share-0.8) > 0.045 {
		t.Fatalf("got a share of %v for the farther row, want 0.8", share)
	}
}

func TestKMeansRefusesBadArguments(t *testing.T) {
	x := normalRows(5, 4, 2)
	for _, c := range []struct {
		name string
		x    []float32
		dim  int
		opt  Options
	}{
		{"no rows", nil, 2, Options{K: 1}}, {"no cluster", x, 2, Options{}}, {"more clusters than rows", x, 2, Options{K: 5}},
		{"a part of a row", x[:7], 2, Options{K: 2}}, {"negative restarts", x, 2, Options{K: 2, Restarts: -1}},
		{"negative iterations", x, 2, Options{K: 2, MaxIter: -1}}, {"a NaN", []float32{float32(math.NaN())}, 1, Options{K: 1}},
	} {
		if _, err := KMeans(context.Background(), c.x, c.dim, c.opt, rng.New(1, "x")); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", c.name, err)
		}
	}
}

func TestKMeansIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := KMeans(ctx, normalRows(6, 10, 2), 2, Options{K: 2}, rng.New(1, "x")); errs.KindOf(err) != errs.Cancelled {
		t.Fatalf("got %v, want a cancelled error", err)
	}
}
