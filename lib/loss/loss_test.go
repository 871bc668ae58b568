package loss

import (
	"math"
	"testing"

	"libdsl/lib/errs"
)

// all returns each loss of the package.
func all() []Loss { return []Loss{NewMargin(), NewClassification()} }

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
		for _, l := range all() {
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
	grad := make([]float32, n*dim)
	for _, l := range all() {
		allocs := testing.AllocsPerRun(10, func() {
			if _, _, err := l.Compute(x, dim, labels, grad); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: got %v allocations a run, want 0", l.Name(), allocs)
		}
	}
}
