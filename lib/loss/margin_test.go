package loss

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/miner"
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

// naiveMargin is the loss over given pairs, from the definition; the pairs are mined by package miner's own tested code.
func naiveMargin(x []float64, dim int, pairs miner.Pairs) (value float64, terms int) {
	d := func(p miner.Pair) float64 {
		sum := 1e-8
		for c := range dim {
			sum += math.Pow(x[p.Anchor*dim+c]-x[p.Other*dim+c], 2)
		}
		return math.Sqrt(sum)
	}
	for _, p := range pairs.Positives {
		if v := d(p) - 1.2 + 0.2; v > 0 {
			value, terms = value+v, terms+1
		}
	}
	for _, p := range pairs.Negatives {
		if v := 1.2 - d(p) + 0.2; v > 0 {
			value, terms = value+v, terms+1
		}
	}
	return value / float64(max(1, terms)), terms
}

func mined(t *testing.T, x []float32, dim int, labels []int64) (p miner.Pairs) {
	t.Helper()
	var d distance.Matrix
	var m miner.Nearest
	if err := d.Compute(x, dim); err != nil {
		t.Fatal(err)
	}
	if err := m.Mine(&d, labels, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// checkGradient compares grad with central differences of value in float64, step 1e-6. The tolerance is float32's rounding
// of a gradient below 1, and 1e-12/1e-6 of the difference.
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
		if want := (up - down) / (2 * step); math.Abs(float64(grad[i])-want) > 2e-6 {
			t.Errorf("%s: gradient %d: got %v, want %v", name, i, grad[i], want)
		}
	}
}

func TestMarginEqualsTheNaiveLoopAndItsDifferences(t *testing.T) {
	l := NewMargin()
	for _, c := range []struct {
		name            string
		n, dim, classes int
	}{
		{"one image", 1, 4, 1}, {"one class", 6, 4, 1}, {"all classes different", 4, 3, 4}, {"a small batch", 12, 5, 3},
		{"a learner of few neurons", 16, 2, 4}, {"a batch of the paper's kind", 32, 16, 4},
	} {
		x, labels := batch(1, c.n, c.dim, c.classes)
		grad := slices.Repeat([]float32{9}, len(x))                     // must be overwritten
		if _, _, err := l.Compute(x, c.dim, labels, grad); err != nil { // leaves used buffers behind
			t.Fatalf("%s: %v", c.name, err)
		}
		got, terms, err := l.Compute(x, c.dim, labels, grad)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		pairs := mined(t, x, c.dim, labels)
		value := func(x []float64) float64 {
			v, _ := naiveMargin(x, c.dim, pairs)
			return v
		}
		wide := make([]float64, len(x))
		for i, v := range x {
			wide[i] = float64(v)
		}
		want, wantTerms := naiveMargin(wide, c.dim, pairs)
		if math.Abs(got-want) > 1e-12 || terms != wantTerms {
			t.Errorf("%s: got %v of %d terms, want %v of %d", c.name, got, terms, want, wantTerms)
		}
		checkGradient(t, c.name, x, grad, value)
	}
}

func TestMarginOfNearlyEqualRowsStillHasAGradient(t *testing.T) {
	const n, dim = 16, 8
	x, labels := batch(2, 1, dim, 1)
	x, labels = slices.Repeat(x, n), make([]int64, n)
	r := rng.New(3, "test")
	for i := range x {
		x[i] += float32(1e-3 * r.NormFloat64())
	}
	for i := range labels {
		labels[i] = int64(i % 4)
	}
	grad := make([]float32, n*dim)
	value, terms, err := NewMargin().Compute(x, dim, labels, grad)
	if err != nil {
		t.Fatal(err)
	}
	var norm float64
	for _, g := range grad {
		norm += float64(g) * float64(g)
	}
	// each image has three positives, satisfied, and so three negatives, all violated by about 1.4
	if terms != n*3 || math.Abs(value-1.4) > 0.01 || norm < 1e-3 {
		t.Fatalf("got loss %v of %d terms, squared gradient %v", value, terms, norm)
	}
}

func TestMarginIsInvariant(t *testing.T) {
	const n, dim = 24, 6
	x, labels := batch(4, n, dim, 4)
	value := func(x []float32, labels []int64) float64 {
		v, _, err := NewMargin().Compute(x, dim, labels, make([]float32, len(x)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := value(x, labels)
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
	for name, got := range map[string]float64{"renamed labels": value(x, renamed), "permuted batch": value(reversed, back),
		"rotated embeddings": value(turned, labels)} {
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}
