package distance

import (
	"math"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

func draw(seed uint64, n int) []float32 {
	r := rng.New(seed, "test")
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// naive is the definition, one pair at a time.
func naive(x []float32, dim, i, j int) float64 {
	var sum float64
	for c := range dim {
		v := float64(x[i*dim+c]) - float64(x[j*dim+c])
		sum += v * v
	}
	return math.Sqrt(sum + Epsilon)
}

func TestComputeEqualsTheNaiveLoop(t *testing.T) {
	var m Matrix // one matrix for all sizes: stale buffers must not show
	for _, c := range []struct {
		name   string
		n, dim int
	}{
		{"one row", 1, 3}, {"two rows of one number", 2, 1}, {"three rows", 3, 2}, {"rows that fill no tile", 7, 5},
		{"a training batch", 32, 128}, {"fewer rows again", 4, 128},
	} {
		x := draw(1, c.n*c.dim)
		if err := m.Compute(x, c.dim); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for i := range c.n {
			for j := range c.n {
				// 1e-12: sums of some hundred float64 products of size 1
				if got, want := m.Row(i)[j], naive(x, c.dim, i, j); math.Abs(got-want) > 1e-12 {
					t.Errorf("%s: d[%d, %d]: got %v, want %v", c.name, i, j, got, want)
				}
			}
		}
	}
}

func TestCoincidingRowsAreEpsilonApartAndGetNoGradient(t *testing.T) {
	x := draw(2, 10)
	x = append(x, x...) // rows 0 and 1 are equal
	var m Matrix
	if err := m.Compute(x, 10); err != nil {
		t.Fatal(err)
	}
	if got := m.Row(0)[1]; got != math.Sqrt(Epsilon) {
		t.Errorf("distance: got %v, want %v", got, math.Sqrt(Epsilon))
	}
	grad := draw(3, 20)
	if err := m.Backward([]float64{0, 1, 1, 0}, grad); err != nil {
		t.Fatal(err)
	}
	for i, g := range grad {
		if g != 0 {
			t.Errorf("gradient %d: got %v, want 0", i, g)
		}
	}
}

func TestBackwardEqualsFiniteDifferences(t *testing.T) {
	const n, dim = 5, 4
	x, r := draw(4, n*dim), rng.New(5, "test")
	g := make([]float64, n*n) // not symmetric: ordered pairs
	for i := range g {
		g[i] = r.NormFloat64()
	}
	var m Matrix
	if err := m.Compute(x, dim); err != nil {
		t.Fatal(err)
	}
	grad := make([]float32, n*dim)
	for range 2 { // the second time over used sums
		if err := m.Backward(g, grad); err != nil {
			t.Fatal(err)
		}
	}
	const step = 1.0 / 256 // exact in float32; central differences err by step² ≈ 1.5e-5 times third derivatives
	value := func(x []float32) (sum float64) {
		for i := range n {
			for j := range n {
				sum += g[i*n+j] * naive(x, dim, i, j)
			}
		}
		return sum
	}
	for i := range x {
		keep := x[i]
		x[i] = keep + step
		up, high := value(x), float64(x[i])
		x[i] = keep - step
		down, low := value(x), float64(x[i])
		x[i] = keep
		if want := (up - down) / (high - low); math.Abs(float64(grad[i])-want) > 2e-4 {
			t.Errorf("gradient %d: got %v, want %v", i, grad[i], want)
		}
	}
}

func TestBadArgumentsAreInvalid(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	var m Matrix
	for _, c := range []struct {
		name string
		x    []float32
		dim  int
	}{
		{"nil rows", nil, 3}, {"dimension zero", draw(1, 4), 0}, {"a negative dimension", draw(1, 4), -2},
		{"a part of a row", draw(1, 5), 2}, {"a NaN", []float32{1, nan}, 2}, {"an infinity", []float32{inf, 1}, 1},
	} {
		if err := m.Compute(c.x, c.dim); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", c.name, err)
		}
		if err := m.Backward(nil, nil); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: backward after it: got %v, want an invalid-argument error", c.name, err)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	const n, dim = 16, 8
	x, g, grad := draw(7, n*dim), make([]float64, n*n), make([]float32, n*dim)
	g[1] = 1
	var m Matrix
	allocs := testing.AllocsPerRun(10, func() {
		if m.Compute(x, dim) != nil || m.Backward(g, grad) != nil {
			t.Fatal("unexpected error")
		}
	})
	if allocs != 0 {
		t.Fatalf("got %v allocations a run, want 0", allocs)
	}
}
