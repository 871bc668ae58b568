package loss

import (
	"math"
	"testing"
)

// naiveSupervisedContrastive sums every logarithm of a share of similarity.
func naiveSupervisedContrastive(_ *testing.T, _ Loss, _ []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	return func(x []float64) (value float64, terms int) {
		for i := range labels {
			var all, sum, positives float64
			for a := range labels {
				if a != i {
					all += math.Exp(naiveDot(x, x, dim, i, a) / 0.1)
				}
			}
			for p := range labels {
				if p != i && labels[p] == labels[i] {
					sum -= math.Log(math.Exp(naiveDot(x, x, dim, i, p)/0.1) / all)
					positives++
				}
			}
			if positives > 0 {
				value += sum / positives
				terms++
			}
		}
		return value / float64(max(1, terms)), terms
	}
}

func TestSupervisedContrastiveOfTwoImagesOfAClassIsZero(t *testing.T) {
	// the positive is all there is to choose from
	grad := []float32{9, 9, 9, 9}
	value, terms, err := NewSupervisedContrastive().Compute([]float32{1, 0, 0, 1}, 2, []int64{4, 4}, grad)
	if err != nil || value != 0 || terms != 2 || grad[0] != 0 || grad[3] != 0 {
		t.Fatalf("got %v of %d terms, gradient %v, %v", value, terms, grad, err)
	}
}

func TestSupervisedContrastiveIsSafeForRowsOfAnySize(t *testing.T) {
	grad := make([]float32, 3)
	value, _, err := NewSupervisedContrastive().Compute([]float32{1e3, 1e3, -1e3}, 1, []int64{0, 1, 0}, grad)
	// row 0 has its positive 2e6 less similar than the negative, row 2 has both alike
	if want := (2e6/0.1 + math.Log(2)) / 2; err != nil || math.Abs(value-want) > 1e-6*want {
		t.Fatalf("got %v, %v, want %v", value, err, want)
	}
}
