package learner

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

// scattered is a set of 11 neurons whose learners are interleaved, as after growths.
func scattered(t *testing.T) *Set {
	t.Helper()
	s, err := FromSubspaces(11, [][]int{{1, 4, 9}, {0, 2, 3, 5, 10}, {6}, {7, 8}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestProjectGivesUnitRowsOfTheLearnersNeurons(t *testing.T) {
	s, e := scattered(t), draw(1, 3*11)
	for k := range s.NumLearners() {
		own := s.Subspace(k)
		z := make([]float32, 3*len(own))
		if err := s.Project(e, k, z); err != nil {
			t.Fatal(err)
		}
		for r := range 3 {
			var length float64
			for _, n := range own {
				length += float64(e[r*11+n]) * float64(e[r*11+n])
			}
			for i, n := range own {
				want := float64(e[r*11+n]) / math.Sqrt(length+1e-12)
				if got := float64(z[r*len(own)+i]); math.Abs(got-want) > 1e-7 {
					t.Errorf("learner %d, row %d, neuron %d: got %v, want %v", k, r, n, got, want)
				}
			}
		}
	}
}

func TestEmbedIsThePartsOverTheRootOfK(t *testing.T) {
	s, e := scattered(t), draw(2, 4*11)
	out := make([]float32, len(e))
	if err := s.Embed(e, out); err != nil {
		t.Fatal(err)
	}
	for k := range s.NumLearners() {
		own := s.Subspace(k)
		z := make([]float32, 4*len(own))
		if err := s.Project(e, k, z); err != nil {
			t.Fatal(err)
		}
		for r := range 4 {
			for i, n := range own {
				if got, want := float64(out[r*11+n]), float64(z[r*len(own)+i])/2; math.Abs(got-want) > 1e-7 { // √4
					t.Errorf("learner %d, row %d, neuron %d: got %v, want %v", k, r, n, got, want)
				}
			}
		}
	}
	for r := range 4 {
		var length float64
		for _, v := range out[r*11 : (r+1)*11] {
			length += float64(v) * float64(v)
		}
		if math.Abs(length-1) > 1e-6 {
			t.Errorf("row %d: got squared length %v, want 1", r, length)
		}
	}
	if err := s.Embed(e, e); err != nil || e[5] != out[5] {
		t.Errorf("in place: got %v and %v, want %v", err, e[5], out[5])
	}
}

// differences returns the central differences of Σ w·f(e), step 1/256; their error is about step²·third derivative.
func differences(t *testing.T, e, w []float32, f func(e, out []float32) error) []float64 {
	t.Helper()
	out, grad := make([]float32, len(w)), make([]float64, len(e))
	value := func() (sum float64) {
		if err := f(e, out); err != nil {
			t.Fatal(err)
		}
		for i, v := range out {
			sum += float64(w[i]) * float64(v)
		}
		return sum
	}
	const step = 1.0 / 256
	for i, keep := range e {
		e[i] = keep + step
		up, high := value(), float64(e[i])
		e[i] = keep - step
		down, low := value(), float64(e[i])
		e[i] = keep
		grad[i] = (up - down) / (high - low)
	}
	return grad
}

func TestBackwardEqualsFiniteDifferences(t *testing.T) {
	s, e := scattered(t), draw(3, 2*11)
	for k := range s.NumLearners() {
		dz := draw(4, 2*len(s.Subspace(k)))
		de := draw(5, len(e)) // must be overwritten
		if err := s.Backward(e, dz, k, de); err != nil {
			t.Fatal(err)
		}
		want := differences(t, e, dz, func(e, z []float32) error { return s.Project(e, k, z) })
		for i := range de {
			if math.Abs(float64(de[i])-want[i]) > 5e-4 {
				t.Errorf("learner %d, gradient %d: got %v, want %v", k, i, de[i], want[i])
			}
		}
	}
	dout, de := draw(6, len(e)), make([]float32, len(e))
	if err := s.EmbedBackward(e, dout, de); err != nil {
		t.Fatal(err)
	}
	for i, want := range differences(t, e, dout, s.Embed) {
		if math.Abs(float64(de[i])-want) > 5e-4 {
			t.Errorf("whole embedding, gradient %d: got %v, want %v", i, de[i], want)
		}
	}
	if err := s.EmbedBackward(e, dout, dout); err != nil || dout[3] != de[3] {
		t.Errorf("in place: got %v and %v, want %v", err, dout[3], de[3])
	}
}

func TestTheGradientIsAtRightAnglesToEachLearnersPart(t *testing.T) {
	s, e := scattered(t), draw(7, 5*11)
	check := func(name string, de []float32, learners ...int) {
		for _, k := range learners {
			for r := range 5 {
				var sum float64
				for _, n := range s.Subspace(k) {
					sum += float64(e[r*11+n]) * float64(de[r*11+n])
				}
				if math.Abs(sum) > 1e-6 { // float32 rounding of a handful of gradients of size 1
					t.Errorf("%s, learner %d, row %d: got Σ e·∂L/∂e = %v, want 0", name, k, r, sum)
				}
			}
		}
	}
	de := make([]float32, len(e))
	for k := range s.NumLearners() {
		if err := s.Backward(e, draw(8, 5*len(s.Subspace(k))), k, de); err != nil {
			t.Fatal(err)
		}
		check("one learner", de, k)
	}
	if err := s.EmbedBackward(e, draw(9, len(e)), de); err != nil {
		t.Fatal(err)
	}
	check("whole embedding", de, 0, 1, 2, 3)
}

func TestARowOfZerosStaysFinite(t *testing.T) {
	s, _ := New(4, 2)
	e, z, de := make([]float32, 4), make([]float32, 2), make([]float32, 4)
	if err := s.Project(e, 1, z); err != nil || z[0] != 0 || z[1] != 0 {
		t.Fatalf("project: got %v, %v", z, err)
	}
	if err := s.Backward(e, []float32{1, -1}, 1, de); err != nil || math.IsNaN(float64(de[2])) || math.IsInf(float64(de[2]), 0) {
		t.Fatalf("backward: got %v, %v", de, err)
	}
}

func TestSizesThatDoNotFitAreInvalid(t *testing.T) {
	s, _ := New(4, 2)
	f := func(n int) []float32 { return make([]float32, n) }
	for name, err := range map[string]error{
		"no such learner":               s.Project(f(4), 2, f(2)),
		"a negative learner":            s.Project(f(4), -1, f(2)),
		"a part of a row":               s.Project(f(6), 0, f(2)),
		"a part of another batch":       s.Project(f(8), 0, f(2)),
		"backward, another gradient":    s.Backward(f(8), f(4), 0, f(4)),
		"embed, a part of a row":        s.Embed(f(6), f(6)),
		"embed, another batch":          s.Embed(f(8), f(4)),
		"embed backward, another batch": s.EmbedBackward(f(8), f(8), f(4)),
		"scores, another batch":         new(Scores).Add(s, f(8), f(4)),
	} {
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	s, e := scattered(t), draw(1, 11*8)
	z, de, out := make([]float32, 8*5), make([]float32, len(e)), make([]float32, len(e))
	var a Scores
	allocs := testing.AllocsPerRun(10, func() {
		if s.Project(e, 1, z) != nil || s.Backward(e, z, 1, de) != nil || s.Embed(e, out) != nil ||
			s.EmbedBackward(e, out, de) != nil || a.Add(s, e, de) != nil {
			t.Fatal("unexpected error")
		}
	})
	if allocs != 0 {
		t.Fatalf("got %v allocations a run, want 0", allocs)
	}
}
