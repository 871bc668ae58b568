package loss

import (
	"math"
	"testing"
)

// naiveDot is the inner product of row i of x and row j of y.
func naiveDot(x, y []float64, dim, i, j int) (sum float64) {
	for c := range dim {
		sum += x[i*dim+c] * y[j*dim+c]
	}
	return sum
}

func TestLogOnePlusIsSafeForExponentsOfAnySize(t *testing.T) {
	for _, c := range []struct {
		name    string
		t       []float64
		want    float64
		weights []float64
	}{
		{"none", nil, 0, nil},
		{"one of zero", []float64{0}, math.Log(2), []float64{0.5}},
		{"two", []float64{math.Log(2), math.Log(3)}, math.Log(6), []float64{2. / 6, 3. / 6}},
		{"large", []float64{1e5, 1e5}, 1e5 + math.Log(2), []float64{0.5, 0.5}},
		{"very negative", []float64{-1e5}, 0, []float64{0}},
	} {
		if got := logOnePlus(c.t); math.Abs(got-c.want) > 1e-12*max(1, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		for k, want := range c.weights {
			if math.Abs(c.t[k]-want) > 1e-15 {
				t.Errorf("%s: weight %d: got %v, want %v", c.name, k, c.t[k], want)
			}
		}
	}
}
