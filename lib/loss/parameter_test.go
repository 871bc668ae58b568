package loss

import (
	"math"
	"slices"
	"testing"
)

// learnt are the cases of metrics with parameters.
func learnt(t *testing.T, dim int) map[string]Parametric {
	found := map[string]Parametric{}
	for _, m := range metrics {
		if l, ok := made(t, m.loss, m.o, dim).(Parametric); ok && len(l.Parameters()) > 0 {
			found[m.name] = l
		}
	}
	return found
}

func TestParameterGradientsEqualTheDifferences(t *testing.T) {
	const n, dim, step = 12, 5, 1e-6
	x, labels := batch(6, n, dim, 3)
	grad := make([]float32, n*dim)
	for name, l := range learnt(t, dim) {
		value := func() float64 {
			v, _, err := l.Compute(x, dim, labels, grad)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return v
		}
		for _, p := range l.Parameters() {
			value()
			got := slices.Clone(p.Gradient)
			for i, keep := range p.Value {
				p.Value[i] = keep + step
				up := value()
				p.Value[i] = keep - step
				down := value()
				p.Value[i] = keep
				if want := (up - down) / (2 * step); math.Abs(got[i]-want) > 1e-7*max(1, math.Abs(want)) { // step² times a third derivative of up to 32³
					t.Errorf("%s: %s %d: got gradient %v, want %v", name, p.Name, i, got[i], want)
				}
			}
		}
	}
}

func TestParametersAreUpdatedAsByAdam(t *testing.T) {
	p := newParameter("p", 2, 3, 10)
	copy(p.Value, []float64{1, 2, 3, 4, 5, 6})
	var m, v [6]float64
	want := slices.Clone(p.Value)
	for step := 1; step <= 5; step++ {
		for i := range p.Gradient {
			g := math.Sin(float64(step*7 + i))
			p.Gradient[i] = g
			if i%3 == 1 {
				continue // a column that sits out
			}
			m[i] = 0.9*m[i] + 0.1*g
			v[i] = 0.999*v[i] + 0.001*g*g
			t := float64(step)
			want[i] -= 1e-2 * (m[i] / (1 - math.Pow(0.9, t))) / (math.Sqrt(v[i]/(1-math.Pow(0.999, t))) + 1e-8)
		}
		p.update(0, 1e-3)
		p.update(2, 1e-3)
		for i := range want {
			if math.Abs(p.Value[i]-want[i]) > 1e-14 {
				t.Fatalf("step %d: value %d: got %v, want %v", step, i, p.Value[i], want[i])
			}
		}
	}
	if !slices.Equal(p.Steps, []int64{5, 0, 5}) {
		t.Errorf("got steps %v, want 5, 0, 5", p.Steps)
	}
	before := p.Value[1]
	p.update(1, 1e-3)
	if moved := math.Abs(p.Value[1] - before); math.Abs(moved-1e-2) > 1e-8 {
		t.Errorf("the first update of a column moved it by %v, want its rate of 0.01", moved)
	}
}
