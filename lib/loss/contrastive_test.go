package loss

import (
	"math"
	"testing"
)

// naiveContrastive looks at every unordered pair.
func naiveContrastive(_ *testing.T, _ Loss, _ []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	return func(x []float64) (value float64, terms int) {
		for i := range labels {
			for j := range i {
				d := naiveDistance(x, dim, i, j)
				switch {
				case labels[i] == labels[j]:
					value, terms = value+d*d, terms+1
				case d < 1:
					value, terms = value+(1-d)*(1-d), terms+1
				}
			}
		}
		return value / float64(max(1, terms)), terms
	}
}

func TestContrastiveByHand(t *testing.T) {
	// a corner of a square: one pair of a class at √2, its two rows at 1/2 and √5/2 from a third
	x := []float32{0, 0, 1, 1, 0, 0.5}
	grad := make([]float32, len(x))
	value, terms, err := NewContrastive().Compute(x, 2, []int64{7, 7, 8}, grad)
	if want := (2 + 0.25) / 2; err != nil || math.Abs(value-want) > 1e-7 || terms != 2 { // 1e-7: ε under the roots
		t.Fatalf("got %v of %d terms, %v, want %v of 2", value, terms, err, want)
	}
	// d² pulls by (x_i − x_j), the mean of two halves its slope of 2; (1 − d)² pushes by ½·2·(1 − ½) along the second axis
	for i, want := range []float32{-1, -1 + 0.5, 1, 1, 0, -0.5} {
		if math.Abs(float64(grad[i]-want)) > 1e-6 {
			t.Errorf("gradient %d: got %v, want %v", i, grad[i], want)
		}
	}
}
