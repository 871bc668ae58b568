package loss

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// batch draws n rows of unit length with labels 0..classes-1 in turn.
func batch(seed uint64, n, dim, classes int) (x []float32, labels []int64) {
	r := rng.New(seed, "test")
	x, labels = make([]float32, n*dim), make([]int64, n)
	for i := range n {
		labels[i] = int64(i % classes)
		row := x[i*dim : (i+1)*dim]
		var sum float64
		for j := range row {
			row[j] = float32(r.NormFloat64())
			sum += float64(row[j]) * float64(row[j])
		}
		for j := range row {
			row[j] = float32(float64(row[j]) / math.Sqrt(sum))
		}
	}
	return x, labels
}

// naiveDistance is the distance of rows i and j from the definition.
func naiveDistance(x []float64, dim, i, j int) float64 {
	sum := 1e-8
	for c := range dim {
		v := x[i*dim+c] - x[j*dim+c]
		sum += v * v
	}
	return math.Sqrt(sum)
}

// checkGradient compares grad with central differences of value in float64, step 1e-6. The tolerance is float32's rounding
// of a gradient below 1 (in proportion above), and 1e-12/1e-6 of the difference.
func checkGradient(t *testing.T, name string, x []float32, grad []float32, value func(x []float64) float64) {
	t.Helper()
	const step = 1e-6
	wide := make([]float64, len(x))
	for i, v := range x {
		wide[i] = float64(v)
	}
	for i, keep := range wide {
		wide[i] = keep + step
		up := value(wide)
		wide[i] = keep - step
		down := value(wide)
		wide[i] = keep
		if want := (up - down) / (2 * step); math.Abs(float64(grad[i])-want) > 2e-6*max(1, math.Abs(want)) {
			t.Errorf("%s: gradient %d: got %v, want %v", name, i, grad[i], want)
		}
	}
}

// oracle makes the dumbest loop for a loss and a batch; what is mined is mined at x, as the loss's next Compute will.
type oracle func(t *testing.T, l Loss, x []float32, dim int, labels []int64) func(x []float64) (value float64, terms int)

// metrics are the losses of unit rows, each with its oracle.
var metrics = []struct {
	name    string
	loss    string
	o       Options
	naive   oracle
	least   float64 // of the gradient across nearly equal rows
	random  bool    // draws by the order of the batch
	proxies bool    // compares rows with something that stays where it is
}{
	{name: "margin", loss: "margin", naive: naiveMargin, least: 0.1},
	{name: "margin of a learnt beta", loss: "margin", o: Options{Beta: BetaLearnt, Nu: 0.3}, naive: naiveMargin, least: 0.1},
	{name: "margin of a beta per class", loss: "margin", o: Options{Beta: BetaPerClass, Nu: 0.3}, naive: naiveMargin, least: 0.1},
	{name: "margin of distance-weighted pairs", loss: "margin", o: Options{Mining: "distance-weighted"}, naive: naiveMargin, least: 0.1, random: true},
	{name: "contrastive", loss: "contrastive", naive: naiveContrastive, least: 0.1},
	{name: "triplet", loss: "triplet", naive: naiveTriplet, least: 0.1},
	{name: "proxy-anchor", loss: "proxy-anchor", naive: naiveProxyAnchor, least: 0.1, proxies: true},
	// inner products of nearly equal rows pull along the rows; what is left is in proportion to the rows' differences of 1e-3
	{name: "multi-similarity", loss: "multi-similarity", naive: naiveMultiSimilarity, least: 1e-4},
	{name: "supervised-contrastive", loss: "supervised-contrastive", naive: naiveSupervisedContrastive, least: 1e-4},
}

// made is one of metrics for rows of dim and the labels of these tests.
func made(t testing.TB, name string, o Options, dim int) Loss {
	t.Helper()
	o.NumClasses, o.EmbeddingDim, o.Seed = 101, dim, 5
	l, err := New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// all returns each loss of the package, for rows of dim.
func all(t *testing.T, dim int) []Loss {
	losses := []Loss{NewClassification()}
	for _, m := range metrics {
		losses = append(losses, made(t, m.loss, m.o, dim))
	}
	return losses
}

// shapes are the batches of the tests against oracles.
var shapes = []struct {
	name            string
	n, dim, classes int
}{
	{"one image", 1, 4, 1}, {"one class", 6, 4, 1}, {"all classes different", 4, 3, 4}, {"a small batch", 12, 5, 3},
	{"a learner of few neurons", 16, 2, 4}, {"eight images of each class", 32, 8, 4},
}

func TestEveryMetricLossEqualsTheNaiveLoopAndItsDifferences(t *testing.T) {
	for _, m := range metrics {
		for _, c := range shapes {
			l := made(t, m.loss, m.o, c.dim)
			name := m.name + ": " + c.name
			x, labels := batch(1, c.n, c.dim, c.classes)
			grad := slices.Repeat([]float32{9}, len(x))                     // must be overwritten
			if _, _, err := l.Compute(x, c.dim, labels, grad); err != nil { // leaves used buffers behind
				t.Fatalf("%s: %v", name, err)
			}
			naive := m.naive(t, l, x, c.dim, labels)
			got, terms, err := l.Compute(x, c.dim, labels, grad)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want, wantTerms := naive(wide(x)); math.Abs(got-want) > 1e-12 || terms != wantTerms {
				t.Errorf("%s: got %v of %d terms, want %v of %d", name, got, terms, want, wantTerms)
			}
			checkGradient(t, name, x, grad, func(x []float64) float64 { v, _ := naive(x); return v })
		}
	}
}

func TestEveryMetricLossIsInvariant(t *testing.T) {
	const n, dim = 24, 6
	x, labels := batch(4, n, dim, 4)
	renamed, reversed, back := make([]int64, n), []float32(nil), make([]int64, n)
	for i, l := range labels {
		renamed[i] = 100 - 7*l
		back[i] = labels[n-1-i]
		reversed = append(reversed, x[(n-1-i)*dim:(n-i)*dim]...)
	}
	turned := slices.Clone(x) // columns 0 and 1 turned by 90 degrees
	for at := 0; at < len(x); at += dim {
		turned[at], turned[at+1] = -x[at+1], x[at]
	}
	for _, m := range metrics {
		value := func(x []float32, labels []int64) float64 {
			v, _, err := made(t, m.loss, m.o, dim).Compute(x, dim, labels, make([]float32, len(x)))
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		want := value(x, labels)
		got := map[string]float64{}
		if !m.random {
			got["permuted batch"] = value(reversed, back)
		}
		if !m.proxies { // their own test renames and rotates the proxies too
			got["renamed labels"], got["rotated embeddings"] = value(x, renamed), value(turned, labels)
		}
		for name, got := range got {
			if math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: %s: got %v, want %v", m.name, name, got, want)
			}
		}
	}
}

func TestEveryMetricLossOfCoincidingRowsEqualsTheNaiveLoop(t *testing.T) {
	const n, dim = 8, 4
	one, _ := batch(5, 1, dim, 1)
	x, labels := slices.Repeat(one, n), []int64{0, 1, 0, 1, 0, 1, 0, 1}
	for _, m := range metrics {
		grad := slices.Repeat([]float32{9}, len(x))
		l := made(t, m.loss, m.o, dim)
		naive := m.naive(t, l, x, dim, labels)
		got, terms, err := l.Compute(x, dim, labels, grad)
		if want, wantTerms := naive(wide(x)); err != nil || math.Abs(got-want) > 1e-12 || terms != wantTerms {
			t.Errorf("%s: got %v of %d terms, %v, want %v of %d", m.name, got, terms, err, want, wantTerms)
		}
		// between coinciding rows no direction is better than another: all gradient there is lies along the row, but for proxies elsewhere
		if moved := tangential(x, dim, grad); (moved > 1e-6) != m.proxies {
			t.Errorf("%s: got gradient %v across the row", m.name, moved)
		}
	}
}

func TestEveryMetricLossOfNearlyEqualRowsStillHasAGradient(t *testing.T) {
	x, dim, labels := nearlyEqual()
	for _, m := range metrics {
		grad := make([]float32, len(x))
		if _, terms, err := made(t, m.loss, m.o, dim).Compute(x, dim, labels, grad); err != nil || terms == 0 {
			t.Fatalf("%s: got %d terms, %v", m.name, terms, err)
		}
		if moved := tangential(x, dim, grad); moved < m.least {
			t.Errorf("%s: got gradient %v across the rows, want %v or more", m.name, moved, m.least)
		}
	}
}

func TestGradientsOfRowsNeedNotBeAcrossThem(t *testing.T) {
	const dim = 6
	x, labels := batch(7, 12, dim, 3)
	for _, m := range metrics {
		grad := make([]float32, len(x))
		if _, _, err := made(t, m.loss, m.o, dim).Compute(x, dim, labels, grad); err != nil {
			t.Fatal(err)
		}
		var whole float64
		for _, g := range grad {
			whole += float64(g) * float64(g)
		}
		// the gradient is that of free rows: taking out what lies along a row is for who made it of unit length
		if across := tangential(x, dim, grad); across > 0.999*math.Sqrt(whole) {
			t.Errorf("%s: got a gradient of %v, of which %v lies across the rows", m.name, math.Sqrt(whole), across)
		}
	}
}

// nearlyEqual is a batch of four classes whose rows are one vector with noise of 1e-3, of unit length again.
func nearlyEqual() (x []float32, dim int, labels []int64) {
	const n = 16
	dim = 8
	one, _ := batch(2, 1, dim, 1)
	r := rng.New(3, "test")
	for i := range n {
		labels = append(labels, int64(i%4))
		row := slices.Clone(one)
		var sum float64
		for c := range row {
			row[c] += float32(1e-3 * r.NormFloat64())
			sum += float64(row[c]) * float64(row[c])
		}
		for _, v := range row {
			x = append(x, float32(float64(v)/math.Sqrt(sum)))
		}
	}
	return x, dim, labels
}

// tangential is the norm of what is left of grad without each row's part along the row, which is all that a learner's projection lets through.
func tangential(x []float32, dim int, grad []float32) float64 {
	var sum float64
	for at := 0; at < len(x); at += dim {
		var along float64
		for c := at; c < at+dim; c++ {
			along += float64(grad[c]) * float64(x[c])
		}
		for c := at; c < at+dim; c++ {
			sum += math.Pow(float64(grad[c])-along*float64(x[c]), 2)
		}
	}
	return math.Sqrt(sum)
}

func wide(x []float32) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}

func TestEveryLossRefusesBadArguments(t *testing.T) {
	x := []float32{1, 0, 0, 1}
	for _, c := range []struct {
		name   string
		x      []float32
		dim    int
		labels []int64
		grad   []float32
	}{
		{"no rows", nil, 2, nil, nil},
		{"dimension zero", x, 0, []int64{0, 1}, make([]float32, 4)},
		{"a part of a row", x[:3], 2, []int64{0, 1}, make([]float32, 3)},
		{"too few labels", x, 2, []int64{0}, make([]float32, 4)},
		{"a negative label", x, 2, []int64{0, -1}, make([]float32, 4)},
		{"a gradient of another size", x, 2, []int64{0, 1}, make([]float32, 3)},
		{"a NaN", []float32{1, 0, float32(math.NaN()), 1}, 2, []int64{0, 1}, make([]float32, 4)},
	} {
		for _, l := range all(t, 2) {
			if _, _, err := l.Compute(c.x, c.dim, c.labels, c.grad); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: %s: got %v, want an invalid-argument error", l.Name(), c.name, err)
			}
		}
	}
	if _, _, err := NewClassification().Compute(x, 2, []int64{0, 2}, make([]float32, 4)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a label beyond the logits: got %v, want an invalid-argument error", err)
	}
}

func TestEveryLossAllocatesNothingInSteadyState(t *testing.T) {
	const n, dim = 32, 16
	x, labels := batch(1, n, dim, 4)
	grad, neurons := make([]float32, n*dim), rng.New(1, "test").Perm(dim)
	for _, l := range all(t, dim) {
		allocs := testing.AllocsPerRun(10, func() {
			if p, ok := l.(PerNeuron); ok {
				if err := p.Select(neurons); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := l.Compute(x, dim, labels, grad); err != nil {
				t.Fatal(err)
			}
			if p, ok := l.(Parametric); ok {
				p.Update(1e-4)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: got %v allocations a run, want 0", l.Name(), allocs)
		}
	}
}
