package loss

import (
	"math"
	"testing"
)

// naiveMultiSimilarity compares every pair with every pair of the other kind.
func naiveMultiSimilarity(_ *testing.T, _ Loss, _ []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	return func(x []float64) (value float64, terms int) {
		s := func(i, j int) float64 { return naiveDot(x, x, dim, i, j) }
		for i := range labels {
			pulled, pushed, pairs := 1.0, 1.0, 0
			for p := range labels {
				for n := range labels {
					if p == i || labels[p] != labels[i] || labels[n] == labels[i] || s(i, p)-0.1 >= s(i, n) {
						continue
					}
					pairs++ // this negative is hard enough to keep the positive, and the other way round
				}
			}
			if pairs == 0 {
				continue
			}
			for k := range labels {
				switch {
				case labels[k] != labels[i]:
					if s(i, k) > least(labels, i, s)-0.1 {
						pushed += math.Exp(50 * (s(i, k) - 0.5))
					}
				case k != i:
					if s(i, k) < most(labels, i, s)+0.1 {
						pulled += math.Exp(-2 * (s(i, k) - 0.5))
					}
				}
			}
			value += math.Log(pulled)/2 + math.Log(pushed)/50
			terms++
		}
		return value / float64(max(1, terms)), terms
	}
}

// least is i's smallest similarity to its own class, most its largest to another.
func least(labels []int64, i int, s func(i, j int) float64) float64 {
	v := math.Inf(1)
	for k := range labels {
		if k != i && labels[k] == labels[i] {
			v = min(v, s(i, k))
		}
	}
	return v
}

func most(labels []int64, i int, s func(i, j int) float64) float64 {
	v := math.Inf(-1)
	for k := range labels {
		if labels[k] != labels[i] {
			v = max(v, s(i, k))
		}
	}
	return v
}

func TestMultiSimilarityOfClassesFarApartIsZero(t *testing.T) {
	grad := []float32{9, 9, 9, 9, 9, 9, 9, 9}
	value, terms, err := NewMultiSimilarity().Compute([]float32{1, 0, 1, 0, -1, 0, -1, 0}, 2, []int64{0, 0, 1, 1}, grad)
	if err != nil || value != 0 || terms != 0 {
		t.Fatalf("got %v of %d terms, %v, want nothing mined", value, terms, err)
	}
	for i, g := range grad {
		if g != 0 {
			t.Errorf("gradient %d: got %v, want 0", i, g)
		}
	}
}

func TestMultiSimilarityMinesByEpsilon(t *testing.T) {
	// anchor 0 has its positive at 0.8 and a negative at s: mined from s = 0.7 on
	for s, want := range map[float32]int{0.69: 0, 0.71: 1} {
		x := []float32{1, 0, 0.8, 0.6, s, -float32(math.Sqrt(float64(1 - s*s)))}
		_, terms, err := NewMultiSimilarity().Compute(x, 2, []int64{0, 0, 1}, make([]float32, 6))
		if err != nil || terms != want { // anchor 1 is far from the negative, 2 has no positive
			t.Errorf("a negative at %v: got %d anchors, %v, want %d", s, terms, err, want)
		}
	}
}
