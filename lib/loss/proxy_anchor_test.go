package loss

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// naiveProxyAnchor reads the loss's proxies as they are, and loops over classes and images.
func naiveProxyAnchor(_ *testing.T, loss Loss, _ []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	l := loss.(*ProxyAnchor)
	var p []float64 // [C, N]
	for c := range l.classes {
		for _, d := range l.neurons {
			p = append(p, l.values.Value[c*l.values.Columns+d])
		}
	}
	return func(x []float64) (value float64, terms int) {
		var near, far float64
		for c := range l.classes {
			pulled, pushed, present := 1.0, 1.0, false
			for i, label := range labels {
				s := naiveDot(x, p, dim, i, c) / math.Sqrt(naiveDot(p, p, dim, c, c)+1e-12)
				if label == int64(c) {
					pulled, present = pulled+math.Exp(-32*(s-0.1)), true
				} else {
					pushed += math.Exp(32 * (s + 0.1))
				}
			}
			if present {
				near += math.Log(pulled)
				terms++
			}
			far += math.Log(pushed)
		}
		return near/float64(terms) + far/float64(l.classes), terms
	}
}

func proxyAnchor(t *testing.T, classes, dim int) *ProxyAnchor {
	t.Helper()
	l, err := New("proxy-anchor", Options{NumClasses: classes, EmbeddingDim: dim, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	return l.(*ProxyAnchor)
}

func TestProxyAnchorSeesAndTrainsTheSelectedNeuronsOnly(t *testing.T) {
	own := []int{5, 1, 6} // in the order of the rows' columns
	l := proxyAnchor(t, 4, 8)
	if err := l.Select(own); err != nil {
		t.Fatal(err)
	}
	before := l.State()
	for seed := range uint64(3) {
		x, labels := batch(seed, 9, 3, 3)
		naive := naiveProxyAnchor(t, l, x, 3, labels)
		grad := make([]float32, len(x))
		got, terms, err := l.Compute(x, 3, labels, grad)
		if want, _ := naive(wide(x)); err != nil || math.Abs(got-want) > 1e-12*max(1, want) || terms != 3 {
			t.Fatalf("got %v of %d terms, %v, want %v of 3", got, terms, err, want)
		}
		checkGradient(t, "rows", x, grad, func(x []float64) float64 { v, _ := naive(x); return v })
		l.Update(1e-3)
	}
	after := l.State()
	for at, s := range after[:3] { // values, m, v
		for i, v := range s.Floats {
			if changed := v != before[at].Floats[i]; changed != slices.Contains(own, i%8) {
				t.Errorf("%s: class %d, neuron %d: changed is %v", s.Name, i/8, i%8, changed)
			}
		}
	}
	if want := []int64{0, 3, 0, 0, 0, 3, 3, 0}; !slices.Equal(after[3].Counts, want) {
		t.Errorf("got step counts %v, want %v", after[3].Counts, want)
	}
}

func TestProxyGradientsOfASelectionEqualTheDifferences(t *testing.T) {
	const step = 1e-6
	l := proxyAnchor(t, 3, 5)
	if err := l.Select([]int{0, 3}); err != nil {
		t.Fatal(err)
	}
	x, labels := batch(2, 6, 2, 3)
	value := func() float64 {
		v, _, err := l.Compute(x, 2, labels, make([]float32, len(x)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	value()
	p := l.Parameters()[0]
	got := slices.Clone(p.Gradient)
	for i, keep := range p.Value {
		p.Value[i] = keep + step
		up := value()
		p.Value[i] = keep - step
		down := value()
		p.Value[i] = keep
		if want := (up - down) / (2 * step); math.Abs(got[i]-want) > 1e-6*max(1, math.Abs(want)) {
			t.Errorf("proxy %d, neuron %d: got gradient %v, want %v", i/5, i%5, got[i], want)
		}
	}
}

func TestProxyAnchorIsInvariantWithItsProxies(t *testing.T) {
	const n, dim, classes = 12, 4, 3
	x, labels := batch(4, n, dim, classes)
	l := proxyAnchor(t, classes, dim)
	value := func(x []float32, labels []int64) float64 {
		v, _, err := l.Compute(x, dim, labels, make([]float32, len(x)))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	want := value(x, labels)
	p := l.Parameters()[0].Value
	keep := slices.Clone(p)
	renamed := slices.Clone(labels)
	for i, c := range labels {
		renamed[i] = (c + 1) % classes
	}
	copy(p[dim:], keep[:2*dim])
	copy(p, keep[2*dim:])
	if got := value(x, renamed); math.Abs(got-want) > 1e-12*want {
		t.Errorf("renamed labels: got %v, want %v", got, want)
	}
	copy(p, keep)
	for at := 0; at < len(x); at += dim {
		x[at], x[at+1] = -x[at+1], x[at]
	}
	for at := 0; at < len(p); at += dim {
		p[at], p[at+1] = -p[at+1], p[at]
	}
	if got := value(x, labels); math.Abs(got-want) > 1e-12*want {
		t.Errorf("rotated embeddings: got %v, want %v", got, want)
	}
}

func TestResetDrawsColumnsAnewAndClearsTheirState(t *testing.T) {
	l := proxyAnchor(t, 50, 8)
	train(t, l, 8, 1, 3)
	before := l.State()
	if err := l.Reset([]int{2, 7}, rng.New(1, "growth")); err != nil {
		t.Fatal(err)
	}
	after := l.State()
	var square float64
	for i, v := range after[0].Floats {
		reset := i%8 == 2 || i%8 == 7
		if (v != before[0].Floats[i]) != reset || (after[1].Floats[i] == 0) != reset || (after[2].Floats[i] == 0) != reset {
			t.Fatalf("neuron %d: got value %v, m %v, v %v", i%8, v, after[1].Floats[i], after[2].Floats[i])
		}
		if reset {
			square += v * v / 100 // 50 classes, two neurons
		}
	}
	if want := 2. / 50; square < want/2 || square > 2*want { // the mean of 100 squares deviates by a seventh
		t.Errorf("got a mean square of %v, want about %v", square, want)
	}
	if want := []int64{3, 3, 0, 3, 3, 3, 3, 0}; !slices.Equal(after[3].Counts, want) {
		t.Errorf("got step counts %v, want %v", after[3].Counts, want)
	}
	train(t, l, 8, 4, 1)
	// a first step of Adam has the size of the rate, here 1e-3 times the factor of 100, where there is a gradient
	if moved := math.Abs(l.values.Value[2] - after[0].Floats[2]); math.Abs(moved-0.1) > 1e-5 {
		t.Errorf("the first update of a reset column moved it by %v, want 0.1", moved)
	}
}

func TestSelectAndResetRefuseBadNeuronsAndChangeNothing(t *testing.T) {
	l := proxyAnchor(t, 2, 4)
	if err := l.Select([]int{3, 0}); err != nil {
		t.Fatal(err)
	}
	before := l.State()
	for name, neurons := range map[string][]int{"negative": {-1}, "too large": {0, 4}, "twice": {1, 2, 1}} {
		if err := l.Select(neurons); errs.KindOf(err) != errs.Invalid {
			t.Errorf("select: %s: got %v, want an invalid-argument error", name, err)
		}
		if err := l.Reset(neurons, rng.New(1, "x")); errs.KindOf(err) != errs.Invalid {
			t.Errorf("reset: %s: got %v, want an invalid-argument error", name, err)
		}
	}
	if err := l.Select([]int{}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("no neuron: got %v, want an invalid-argument error", err)
	}
	if !slices.Equal(l.neurons, []int{3, 0}) || !slices.Equal(l.State()[0].Floats, before[0].Floats) {
		t.Errorf("got neurons %v and other proxies, want the old ones", l.neurons)
	}
}

func TestProxyAnchorRefusesRowsOfAnotherWidthAndUnknownClasses(t *testing.T) {
	l := proxyAnchor(t, 2, 4)
	for name, c := range map[string]struct {
		dim    int
		labels []int64
	}{"a learner's rows without its selection": {2, []int64{0, 1}}, "a class too many": {4, []int64{0, 2}}} {
		n := 2 * c.dim
		if _, _, err := l.Compute(make([]float32, n), c.dim, c.labels, make([]float32, n)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
	}
	if err := l.Select([]int{1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := l.Select(nil); err != nil || len(l.neurons) != 4 {
		t.Errorf("nil: got %v, %v, want all four", l.neurons, err)
	}
}
