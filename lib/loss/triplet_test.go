package loss

import (
	"math"
	"testing"
)

// naiveTriplet looks at every negative of every ordered pair of a class.
func naiveTriplet(_ *testing.T, _ Loss, _ []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	return func(x []float64) (value float64, terms int) {
		for a := range labels {
			for p := range labels {
				if p == a || labels[p] != labels[a] {
					continue
				}
				near, far, ap := math.Inf(1), 0.0, naiveDistance(x, dim, a, p)
				for n := range labels {
					if labels[n] == labels[a] {
						continue
					}
					an := naiveDistance(x, dim, a, n)
					far = max(far, an)
					if an > ap {
						near = min(near, an)
					}
				}
				if math.IsInf(near, 1) {
					near = far
				}
				if v := ap - near + 0.2; far > 0 && v > 0 {
					value, terms = value+v, terms+1
				}
			}
		}
		return value / float64(max(1, terms)), terms
	}
}

func TestTripletByHand(t *testing.T) {
	// on a line: anchor 0 has its positive at 1 and the semi-hard negative at 1.1; anchor 1 only has negatives nearer than the positive
	x := []float32{0, 1, 1.1}
	grad := make([]float32, len(x))
	value, terms, err := NewTriplet().Compute(x, 1, []int64{0, 0, 1}, grad)
	if want := (1 - 1.1 + 0.2 + 1 - 0.1 + 0.2) / 2; err != nil || math.Abs(value-want) > 1e-6 || terms != 2 {
		t.Fatalf("got %v of %d terms, %v, want %v of 2", value, terms, err, want)
	}
	// d_01 twice with slope ½ each, d_02 and d_12 once each with −½
	for i, want := range []float32{-1 + 0.5, 1 + 0.5, -0.5 - 0.5} {
		if math.Abs(float64(grad[i]-want)) > 1e-5 {
			t.Errorf("gradient %d: got %v, want %v", i, grad[i], want)
		}
	}
}
