package loss

import (
	"math"
	"testing"

	"libdsl/lib/rng"
)

// naiveEntropy is softmax cross-entropy without the shift by the maximum.
func naiveEntropy(x []float64, classes int, labels []int64) (value float64) {
	for i, label := range labels {
		var sum float64
		for c := range classes {
			sum += math.Exp(x[i*classes+c])
		}
		value -= math.Log(math.Exp(x[i*classes+int(label)]) / sum)
	}
	return value / float64(len(labels))
}

func TestClassificationEqualsTheNaiveLoopAndItsDifferences(t *testing.T) {
	l := NewClassification()
	for _, c := range []struct {
		name       string
		n, classes int
	}{
		{"one image", 1, 3}, {"one class", 5, 1}, {"a small batch", 10, 7},
	} {
		x, labels := batch(1, c.n, c.classes, c.classes)
		for i := range x {
			x[i] *= 3
		}
		grad := make([]float32, len(x))
		got, terms, err := l.Compute(x, c.classes, labels, grad)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		wide := make([]float64, len(x))
		for i, v := range x {
			wide[i] = float64(v)
		}
		if want := naiveEntropy(wide, c.classes, labels); math.Abs(got-want) > 1e-12 || terms != c.n {
			t.Errorf("%s: got %v of %d, want %v of %d", c.name, got, terms, want, c.n)
		}
		checkGradient(t, c.name, x, grad, func(x []float64) float64 { return naiveEntropy(x, c.classes, labels) })
	}
}

func TestClassificationIsStableForLargeLogits(t *testing.T) {
	// the wrong class leads by 2e30: the loss is the lead, the gradient is (-1, 1)
	grad := make([]float32, 2)
	value, _, err := NewClassification().Compute([]float32{-1e30, 1e30}, 2, []int64{0}, grad)
	if lead := float64(float32(1e30)) * 2; err != nil || value != lead || grad[0] != -1 || grad[1] != 1 {
		t.Fatalf("got %v, %v, %v", value, grad, err)
	}
}

func TestClassificationGradientSumsToZeroPerImage(t *testing.T) {
	const n, classes = 9, 5
	x, labels := batch(rng.New(1, "seed").Uint64(), n, classes, classes)
	grad := make([]float32, len(x))
	if _, _, err := NewClassification().Compute(x, classes, labels, grad); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		var sum float64
		for _, g := range grad[i*classes : (i+1)*classes] {
			sum += float64(g)
		}
		if math.Abs(sum) > 1e-7 { // five float32 roundings of numbers below 1/9
			t.Errorf("image %d: got sum %v, want 0", i, sum)
		}
	}
}
