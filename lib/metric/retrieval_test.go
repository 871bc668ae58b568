package metric

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/internal/simd"
	"libdsl/lib/rng"
)

func normalise(x []float32, dim int) {
	for at := 0; at < len(x); at += dim {
		var sum float64
		for _, v := range x[at : at+dim] {
			sum += float64(v) * float64(v)
		}
		for j := range dim {
			x[at+j] = float32(float64(x[at+j]) / math.Sqrt(sum))
		}
	}
}

// naive is every score from its definition, in float64, with the ranking by a stable sort.
func naive(x []float32, dim int, labels []int64, excluded func(q, i int) bool) (want goldenAverages) {
	byClass := map[int64][][6]float64{}
	for q := range labels {
		var order []int
		relevant := 0
		for i := range labels {
			if !excluded(q, i) {
				order = append(order, i)
				if labels[i] == labels[q] {
					relevant++
				}
			}
		}
		if relevant == 0 {
			want.Dropped++
			continue
		}
		squared := func(i int) (sum float64) {
			for j := range dim {
				sum += math.Pow(float64(x[q*dim+j])-float64(x[i*dim+j]), 2)
			}
			return sum
		}
		slices.SortStableFunc(order, func(a, b int) int {
			if d := squared(a) - squared(b); d != 0 {
				return int(math.Copysign(1, d))
			}
			return 0
		})
		var s [6]float64
		hits := 0.0
		for rank, i := range order {
			if labels[i] != labels[q] {
				continue
			}
			for j, k := range []int{1, 2, 4, 8} {
				if rank < k {
					s[j] = 1
				}
			}
			if hits++; rank < relevant {
				s[4] += 1 / float64(relevant)
				s[5] += hits / float64(rank+1) / float64(relevant)
			}
		}
		want.Queries++
		byClass[labels[q]] = append(byClass[labels[q]], s)
	}
	for _, rows := range byClass {
		for _, s := range rows {
			for j, v := range s {
				want.Micro[j] += v / float64(want.Queries)
				want.Macro[j] += v / float64(len(rows)*len(byClass))
			}
		}
	}
	return want
}

// coarse draws rows on a grid of halves: distances are exact, and many are equal.
func coarse(seed uint64, n, dim, classes, groups int) (x []float32, labels, group []int64) {
	r := rng.New(seed, "test")
	for range n * dim {
		x = append(x, float32(r.IntN(4))/2)
	}
	for range n {
		labels = append(labels, int64(r.IntN(classes)))
		group = append(group, int64(r.IntN(groups+1)-1)) // -1: without a group
	}
	return x, labels, group
}

func TestRetrievalEqualsTheNaiveLoopsWithManyTies(t *testing.T) {
	for _, c := range []struct {
		name                    string
		n, dim, classes, groups int
	}{
		{"one image", 1, 2, 1, 1}, {"two images", 2, 2, 1, 2}, {"one class", 20, 2, 1, 4}, {"all in one group", 12, 2, 3, 1},
		{"few images", 7, 2, 2, 3}, {"more images than a tile", 300, 3, 5, 90}, {"mostly single classes", 40, 2, 60, 20},
	} {
		x, labels, groups := coarse(7, c.n, c.dim, c.classes, c.groups)
		r, err := Retrieve(context.Background(), x, c.dim, labels, groups, Options{Threads: 2})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		compare(t, c.name+", self excluded", r.SelfExcluded, naive(x, c.dim, labels, func(q, i int) bool { return q == i }))
		compare(t, c.name+", group excluded", *r.GroupExcluded, naive(x, c.dim, labels, func(q, i int) bool {
			return q == i || groups[q] >= 0 && groups[q] == groups[i]
		}))
	}
}

// With every build's kernels, and a sample that says where to look.
func TestRetrievalOfManyImagesEqualsTheNaiveLoops(t *testing.T) {
	defer simd.Builds()[0].Use()
	x, labels := unitRows(5, 190, 9, 4, 2)
	groups := make([]int64, len(labels))
	for i := range groups {
		groups[i] = int64(i/7) - 1
	}
	for _, scale := range []float32{1, 1e30, 1e-30} {
		scaled := slices.Clone(x)
		for i := range scaled {
			scaled[i] *= scale
		}
		want := naive(scaled, 9, labels, func(q, i int) bool { return q == i || groups[q] >= 0 && groups[q] == groups[i] })
		for _, b := range simd.Builds() {
			b.Use()
			s := searchFor(t, scaled, 9, labels, groups, 2)
			for i := 0; i < s.n; i += 9 { // a sample of a ninth of them
				s.sample, s.sampleHalf = append(s.sample, scaled[i*9:(i+1)*9]...), append(s.sampleHalf, s.half[i])
			}
			if err := s.run(context.Background(), Options{Threads: 2}); err != nil {
				t.Fatal(err)
			}
			compare(t, b.Name(), average(s.group, labels), want)
		}
	}
}

func TestAMisleadingSampleChangesNothing(t *testing.T) {
	x, labels := unitRows(6, 300, 5, 3, 2)
	s, misled := searchFor(t, x, 5, labels, nil, 1), searchFor(t, x, 5, labels, nil, 1)
	for i := range 100 { // each image is near to all of the sample: itself
		misled.sample, misled.sampleHalf = append(misled.sample, x[:5]...), append(misled.sampleHalf, misled.half[0]-float64(10*i))
	}
	for q := 0; q < s.n; q += 10 {
		s.queries(context.Background(), &s.scratch[0], q, q+10)
		misled.queries(context.Background(), &misled.scratch[0], q, q+10)
	}
	if !slices.Equal(s.self, misled.self) {
		t.Error("got other scores with a misleading sample")
	}
}

func TestRetrievalByHand(t *testing.T) {
	// on a line: query 0 ranks 1 (hit), 2, 3 (hit); R = 2: R-precision 1/2, MAP@R (1/1)/2
	x, labels := []float32{0, 1, 2, 3, 100}, []int64{0, 0, 1, 0, 2}
	s := searchFor(t, x, 1, labels, nil, 1)
	s.queries(context.Background(), &s.scratch[0], 0, 5)
	want := outcome{relevant: 2, scores: Scores{RecallAtK: [4]float64{1, 1, 1, 1}, RPrecision: 0.5, MAPAtR: 0.5}}
	if s.self[0] != want {
		t.Errorf("query 0: got %+v, want %+v", s.self[0], want)
	}
	// query 3 ranks 2, 1 (hit), 0 (hit): recall@1 is 0, R-precision 1/2, MAP@R (1/2)/2
	want.scores = Scores{RecallAtK: [4]float64{0, 1, 1, 1}, RPrecision: 0.5, MAPAtR: 0.25}
	if s.self[3] != want {
		t.Errorf("query 3: got %+v, want %+v", s.self[3], want)
	}
	if s.self[2].relevant != 0 || s.self[4].relevant != 0 {
		t.Errorf("classes of one image: got %+v and %+v, want them dropped", s.self[2], s.self[4])
	}
}

func TestRetrievalDoesNotDependOnThreads(t *testing.T) {
	x, labels := unitRows(3, 400, 16, 5, 2)
	var want *Retrieval
	for _, threads := range []int{1, 2, 7} {
		got, err := Retrieve(context.Background(), x, 16, labels, labels, Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d threads: got %+v, want %+v", threads, got, want)
		}
	}
	if want.GroupExcluded.Dropped != 400 || want.GroupExcluded.Micro != (Scores{}) {
		t.Errorf("groups equal to classes: got %+v, want all queries dropped", want.GroupExcluded)
	}
}

func TestDescendingSortsStably(t *testing.T) {
	scores := []float32{float32(math.Copysign(0, -1)), -1, 2, 0, -1e-30, 2, 1e30, -1e30, 0.5}
	var r ranking
	for range 2 { // the second time with used buffers
		if got, want := r.descending(scores), []uint32{6, 2, 5, 8, 0, 3, 4, 1, 7}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestRetrieveRefusesBadArguments(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	for _, c := range []struct {
		name           string
		x              []float32
		dim            int
		labels, groups []int64
	}{
		{"no image", nil, 2, nil, nil}, {"a part of a row", make([]float32, 3), 2, []int64{1}, nil},
		{"a label too few", make([]float32, 4), 2, []int64{1}, nil},
		{"a group too few", make([]float32, 4), 2, []int64{1, 1}, []int64{1}},
		{"a NaN", []float32{float32(math.NaN())}, 1, []int64{1}, nil},
	} {
		if _, err := Retrieve(ctx, c.x, c.dim, c.labels, c.groups, Options{Threads: 1}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", c.name, err)
		}
	}
	cancel()
	if _, err := Retrieve(ctx, make([]float32, 2), 1, []int64{1, 1}, nil, Options{Threads: 1}); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("cancelled: got %v, want a cancelled error", err)
	}
}

func searchFor(t testing.TB, x []float32, dim int, labels, groups []int64, workers int) *search {
	t.Helper()
	s, err := newSearch(context.Background(), x, dim, labels, groups, workers)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
