package index

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/internal/simd"
	"libdsl/lib/learner"
	"libdsl/lib/rng"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// normalRows draws n rows of independent normal numbers.
func normalRows(name string, n, dim int) []float32 {
	r := rng.New(1, name)
	out := make([]float32, n*dim)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

// coarseRows draws rows of -1, 0 and 1, so that many are equally similar, and some equal.
func coarseRows(name string, n, dim int) []float32 {
	r := rng.New(1, name)
	out := make([]float32, n*dim)
	for i := range out {
		out[i] = float32(r.IntN(3) - 1)
	}
	for i := range n {
		out[i*dim] = 1 // no row of zeros
	}
	return out
}

func newIndex(t testing.TB, dim, learners int, it Items) *Index {
	t.Helper()
	o := Options{Dim: dim}
	if learners > 0 {
		var err error
		o.Learners, err = learner.New(dim, learners)
		must(t, err)
	}
	x, err := New(o)
	must(t, err)
	must(t, x.Add(it))
	return x
}

// naive sorts all rows by their cosine: the dumbest loop in float64, over rows rounded to float32 of unit length as the index holds them.
func naive(x *Index, queries []float32, s Search, excluded func(query, row int) bool) *Neighbours {
	dim := x.Dim()
	neurons := make([]int, dim)
	for i := range neurons {
		neurons[i] = i
	}
	if s.Learner != AllLearners {
		neurons = x.opt.Learners.Subspace(s.Learner)
	}
	unitOf := func(row []float32, neurons []int) []float64 {
		var sum float64
		for _, i := range neurons {
			sum += float64(row[i]) * float64(row[i])
		}
		out := make([]float64, len(neurons))
		for j, i := range neurons {
			if sum > 0 {
				out[j] = float64(float32(float64(row[i]) / math.Sqrt(sum)))
			}
		}
		return out
	}
	out := &Neighbours{}
	for q := range len(queries) / dim {
		a := unitOf(queries[q*dim:(q+1)*dim], neurons)
		similarity := make([]float64, x.Len())
		var order []int
		for i := range similarity {
			for j, v := range unitOf(x.rows[i*dim:(i+1)*dim], neurons) {
				similarity[i] += a[j] * v
			}
			if !excluded(q, i) {
				order = append(order, i)
			}
		}
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(similarity[j], similarity[i]) })
		for j := range s.K {
			row, v := int64(-1), float32(math.Inf(-1))
			if j < len(order) {
				row, v = int64(order[j]), float32(similarity[order[j]])
			}
			out.Rows, out.Similarities = append(out.Rows, row), append(out.Similarities, v)
		}
	}
	return out
}

// near compares neighbours: the same rows, similarities but for the last bits, which unit lengths round differently.
func near(t *testing.T, name string, got, want *Neighbours) {
	t.Helper()
	if !slices.Equal(got.Rows, want.Rows) {
		t.Errorf("%s: got rows %v, want %v", name, got.Rows, want.Rows)
	}
	for i, v := range want.Similarities {
		if g := got.Similarities[i]; g != v && !(math.Abs(float64(g-v)) < 1e-6) {
			t.Errorf("%s: similarity %d: got %v, want %v", name, i, g, v)
		}
	}
}

func none(int, int) bool { return false }

// extremeRows are normalRows times 1e30 and 1e-30 by turns.
func extremeRows(name string, n, dim int) []float32 {
	rows := normalRows(name, n, dim)
	for i := range rows {
		rows[i] *= [2]float32{1e30, 1e-30}[i/dim%2]
	}
	return rows
}

func TestSearchEqualsSortingAllRows(t *testing.T) {
	defer simd.Builds()[0].Use()
	for _, b := range simd.Builds() {
		b.Use()
		t.Run(b.Name(), searchEqualsSortingAllRows)
	}
}

func searchEqualsSortingAllRows(t *testing.T) {
	for _, c := range []struct {
		name                 string
		rows                 func(name string, n, dim int) []float32
		n, queries, dim, k   int
		learners, oneLearner int
	}{
		{"one row", normalRows, 1, 1, 3, 1, 0, AllLearners},
		{"more neighbours than rows", normalRows, 3, 2, 4, 9, 0, AllLearners},
		{"one dimension", coarseRows, 9, 3, 1, 4, 0, AllLearners},
		{"a few rows", normalRows, 50, 20, 8, 5, 0, AllLearners},
		{"many equally similar rows", coarseRows, 600, 40, 3, 7, 0, AllLearners},
		{"more queries than a piece", normalRows, 300, 2*queriesPerPiece + 5, 130, 9, 0, AllLearners},
		{"huge and tiny rows", extremeRows, 300, 30, 7, 9, 0, AllLearners},
		{"all rows", normalRows, 300, 3, 5, 300, 0, AllLearners},
		{"more than a block and a segment", normalRows, 40_000, 2, 4, 10, 0, AllLearners},
		{"more than the largest segment", coarseRows, 70_000, 4, 3, 10, 0, AllLearners},
		{"one learner of two", normalRows, 200, 17, 9, 6, 2, 1},
		{"the first learner, with ties", coarseRows, 200, 17, 4, 6, 2, 0},
	} {
		x := newIndex(t, c.dim, c.learners, Items{Embeddings: c.rows("gallery", c.n, c.dim)})
		queries, s := c.rows("queries", c.queries, c.dim), Search{K: c.k, Learner: c.oneLearner, Threads: 2}
		got, err := x.Search(context.Background(), queries, s)
		must(t, err)
		near(t, c.name, got, naive(x, queries, s, none))
	}
}

func TestRowsNearerThanFloat32CanTellAreInTheRightOrder(t *testing.T) {
	// 300 rows within 1e-7 of one another: float32 products of 64 numbers cannot rank them
	const n, dim = 300, 64
	base, noise := normalRows("base", 1, dim), normalRows("noise", n, dim)
	rows := make([]float32, n*dim)
	for i := range rows {
		rows[i] = base[i%dim] + noise[i]*3e-7
	}
	x := newIndex(t, dim, 0, Items{Embeddings: rows})
	queries, s := normalRows("queries", 5, dim), Search{K: 8, Learner: AllLearners}
	got, err := x.Search(context.Background(), queries, s)
	must(t, err)
	if want := naive(x, queries, s, none); !slices.Equal(got.Rows, want.Rows) {
		t.Errorf("got %v, want %v", got.Rows, want.Rows)
	}
}

func TestARowFindsItselfUnlessItsIDOrGroupIsExcluded(t *testing.T) {
	const n, dim = 120, 6
	rows := normalRows("rows", n, dim)
	var ids, groups []string
	for i := range n {
		ids = append(ids, fmt.Sprint("image ", i))
		groups = append(groups, []string{"", "a", "b", "c"}[i%4])
	}
	x := newIndex(t, dim, 0, Items{Embeddings: rows, IDs: IDs{Texts: ids}, Groups: groups})
	s := Search{K: 3, Learner: AllLearners}
	got, err := x.Search(context.Background(), rows, s)
	must(t, err)
	for q := range n {
		if got.Rows[q*3] != int64(q) || math.Abs(float64(got.Similarities[q*3])-1) > 1e-6 {
			t.Fatalf("row %d: got %v, %v first", q, got.Rows[q*3], got.Similarities[q*3])
		}
	}
	s.IDs = IDs{Texts: ids}
	got, err = x.Search(context.Background(), rows, s)
	must(t, err)
	near(t, "ids", got, naive(x, rows, s, func(q, i int) bool { return q == i }))
	s.Groups = groups
	got, err = x.Search(context.Background(), rows, s)
	must(t, err)
	near(t, "ids and groups", got, naive(x, rows, s, func(q, i int) bool { return q == i || q%4 != 0 && q%4 == i%4 }))
}

func TestAnIDMayNameSeveralRows(t *testing.T) {
	x := newIndex(t, 1, 0, Items{Embeddings: []float32{1, 2, 3, -1}, IDs: IDs{Numbers: []int64{7, 7, 8, 8}}})
	got, err := x.Search(context.Background(), []float32{5}, Search{K: 4, Learner: AllLearners, IDs: IDs{Numbers: []int64{7}}})
	must(t, err)
	if want := []int64{2, 3, -1, -1}; !slices.Equal(got.Rows, want) || got.Similarities[1] != -1 {
		t.Errorf("got %v, %v, want %v", got.Rows, got.Similarities, want)
	}
}

func TestSearchDoesNotDependOnThreadsOrOnHowRowsWereAdded(t *testing.T) {
	const n, dim = 50_000, 8
	rows, queries := coarseRows("rows", n, dim), coarseRows("queries", 33, dim)
	whole := newIndex(t, dim, 2, Items{Embeddings: rows})
	parts := newIndex(t, dim, 2, Items{Embeddings: rows[:9*dim]})
	for _, s := range []Search{{K: 20, Learner: AllLearners}, {K: 20, Learner: 1}} {
		_, err := parts.Search(context.Background(), queries, s) // what it keeps must not outlive the next Add
		must(t, err)
	}
	must(t, parts.Add(Items{Embeddings: rows[9*dim:]}))
	for _, learner := range []int{AllLearners, 1} {
		want, err := whole.Search(context.Background(), queries, Search{K: 20, Learner: learner, Threads: 1})
		must(t, err)
		for _, threads := range []int{2, 5} {
			got, err := parts.Search(context.Background(), queries, Search{K: 20, Learner: learner, Threads: threads})
			must(t, err)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("learner %d, %d threads: other neighbours", learner, threads)
			}
		}
	}
}

func TestItemsAreWhatTheUserGave(t *testing.T) {
	x := newIndex(t, 1, 0, Items{Embeddings: []float32{1, 1}})
	must(t, x.Add(Items{Embeddings: []float32{1, 1}, IDs: IDs{Numbers: []int64{-5, 1 << 62}}, Labels: []int64{3, NoLabel}, Groups: []string{"patient", ""}}))
	var got []Item
	for i := range x.Len() {
		it, err := x.Item(i)
		must(t, err)
		got = append(got, it)
	}
	want := []Item{{"0", -1, ""}, {"1", -1, ""}, {"-5", 3, "patient"}, {"4611686018427387904", -1, ""}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, row := range []int{-1, 4} {
		if _, err := x.Item(row); errs.KindOf(err) != errs.NotFound {
			t.Errorf("row %d: got %v", row, err)
		}
	}
}

func TestAnEmptyIndexFindsNothing(t *testing.T) {
	x, err := New(Options{Dim: 2})
	must(t, err)
	must(t, x.Add(Items{}))
	got, err := x.Search(context.Background(), []float32{1, 2}, Search{K: 2, Learner: AllLearners})
	must(t, err)
	if !slices.Equal(got.Rows, []int64{-1, -1}) {
		t.Errorf("got %v", got.Rows)
	}
	got, err = x.Search(context.Background(), nil, Search{K: 2, Learner: AllLearners})
	if err != nil || len(got.Rows) != 0 {
		t.Errorf("no query: got %v, %v", got, err)
	}
}

func TestAddRefusesBadArguments(t *testing.T) {
	x := newIndex(t, 2, 0, Items{Embeddings: []float32{1, 2}, IDs: IDs{Texts: []string{"a"}}})
	row := []float32{1, 2}
	for name, it := range map[string]Items{
		"a part of a row":           {Embeddings: []float32{1}, IDs: IDs{Texts: []string{"a"}}},
		"a row of zeros":            {Embeddings: []float32{0, 0}, IDs: IDs{Texts: []string{"a"}}},
		"a NaN":                     {Embeddings: []float32{float32(math.NaN()), 1}, IDs: IDs{Texts: []string{"a"}}},
		"an id too many":            {Embeddings: row, IDs: IDs{Texts: []string{"a", "b"}}},
		"an id without a row":       {IDs: IDs{Texts: []string{"a"}}},
		"ids of two kinds":          {Embeddings: row, IDs: IDs{Texts: []string{"a"}, Numbers: []int64{1}}},
		"a number among texts":      {Embeddings: row, IDs: IDs{Numbers: []int64{1}}},
		"no ids among texts":        {Embeddings: row},
		"a long id":                 {Embeddings: row, IDs: IDs{Texts: []string{string(make([]byte, 1024))}}},
		"an id with a NUL":          {Embeddings: row, IDs: IDs{Texts: []string{"a\x00b"}}},
		"an id that is not UTF-8":   {Embeddings: row, IDs: IDs{Texts: []string{"\xff"}}},
		"a label below -1":          {Embeddings: row, IDs: IDs{Texts: []string{"a"}}, Labels: []int64{-2}},
		"a label too many":          {Embeddings: row, IDs: IDs{Texts: []string{"a"}}, Labels: []int64{1, 2}},
		"a group too few":           {Embeddings: row, IDs: IDs{Texts: []string{"a"}}, Groups: []string{}},
		"a group that is not UTF-8": {Embeddings: row, IDs: IDs{Texts: []string{"a"}}, Groups: []string{"\xff"}},
	} {
		if err := x.Add(it); errs.KindOf(err) != errs.Invalid || x.Len() != 1 {
			t.Errorf("%s: got %v and %d rows, want an invalid-argument error and 1", name, err, x.Len())
		}
	}
}

func TestSearchRefusesBadArguments(t *testing.T) {
	x := newIndex(t, 2, 2, Items{Embeddings: []float32{1, 2}, IDs: IDs{Texts: []string{"a"}}})
	q := []float32{1, 2}
	for _, c := range []struct {
		name    string
		queries []float32
		s       Search
	}{
		{"k of 0", q, Search{Learner: AllLearners}},
		{"k of 0 and no query", nil, Search{Learner: AllLearners}},
		{"a learner too high", q, Search{K: 1, Learner: 2}},
		{"a negative learner", q, Search{K: 1, Learner: -2}},
		{"a part of a query", q[:1], Search{K: 1, Learner: AllLearners}},
		{"a query of zeros", []float32{0, 0}, Search{K: 1, Learner: AllLearners}},
		{"numbers for texts", q, Search{K: 1, Learner: AllLearners, IDs: IDs{Numbers: []int64{1}}}},
		{"an id too many", q, Search{K: 1, Learner: AllLearners, IDs: IDs{Texts: []string{"a", "b"}}}},
		{"a group too many", q, Search{K: 1, Learner: AllLearners, Groups: []string{"a", "b"}}},
	} {
		if _, err := x.Search(context.Background(), c.queries, c.s); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", c.name, err)
		}
	}
	for _, o := range []Options{{}, {Dim: 1 << 17}, {Dim: 3, Learners: x.opt.Learners}} {
		if _, err := New(o); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%+v: got %v, want an invalid-argument error", o, err)
		}
	}
}

func TestSearchIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	x := newIndex(t, 1, 0, Items{Embeddings: []float32{1}})
	if _, err := x.Search(ctx, []float32{1}, Search{K: 1, Learner: AllLearners}); errs.KindOf(err) != errs.Cancelled {
		t.Errorf("got %v, want a cancelled error", err)
	}
}

func TestAnotherModelsEmbeddingsAreRefused(t *testing.T) {
	x, err := New(Options{Dim: 2, Model: "00ff"})
	must(t, err)
	if err := x.CheckModel("00ff"); err != nil {
		t.Errorf("the same model: %v", err)
	}
	for _, other := range []string{"", "00fe"} {
		if err := x.CheckModel(other); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: got %v, want an invalid-argument error", other, err)
		}
	}
}

func TestABatchOfQueriesKeepsItsCandidatesInBoundedMemory(t *testing.T) {
	for _, c := range []struct{ n, k int }{{1, 1}, {100_000, 10}, {1_000_000, 10}, {10_000_000, 1000}, {1 << 40, 1 << 20}} {
		batch := batchOf(c.n, c.k)
		kept := batch * 2 * (c.k + slack) * ((c.n + mostPerSegment - 1) / mostPerSegment)
		if batch < 1 || batch > 1 && kept > maxCandidates {
			t.Errorf("%d rows, K = %d: %d queries keep %d candidates, want at most %d", c.n, c.k, batch, kept, maxCandidates)
		}
	}
}
