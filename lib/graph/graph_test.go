package graph

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"libdsl/lib/errs"
	"libdsl/lib/graph/graphtest"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
	"libdsl/lib/rng"
)

// smallNet uses every op: a batch-statistics block and a frozen one, a residual, max-pool, gate, dropout (rate 0.3), linear.
func smallNet(b *Builder) (e Value, outs map[string]Value) {
	x := b.Normalize(b.Input("pixels", ir.U8, 2, 9, 8, 3), [3]float32{0.5, 0.4, 0.3}, [3]float32{0.2, 0.3, 0.25})
	h := b.Conv(x, b.Param("w1", 4, 3, 3, 3), 1, 1)
	h, mean, variance := b.BatchNorm(h, b.Param("g1", 4), b.Param("b1", 4), 1e-5)
	h = b.MaxPool(b.ReLU(h), 3, 2, 1)
	w, bias := b.FoldNorm(b.Param("w2", 4, 3, 3, 4), b.Param("g2", 4), b.Param("b2", 4),
		b.State("m2", ir.F32, 4), b.State("v2", ir.F32, 4), 1e-5)
	h = b.ReLU(b.Add(b.ConvBias(h, w, bias, 1, 1), h))
	a := b.Sigmoid(b.ConvBias(h, b.Param("w3", 1, 3, 3, 4), b.Param("b3", 1), 1, 1))
	v := b.Dropout(b.GatedPool(h, a), 0.3)
	e = b.Linear(v, b.Param("w4", 5, 4), b.Param("b4", 5))
	u := b.Linear(b.Pool(h), b.Param("w5", 5, 4), b.Param("b5", 5))
	e = b.Add(e, u)
	return e, map[string]Value{"e": e, "mean": mean, "variance": variance, "a": a}
}

// describe marks the outputs and all gradients.
func describe(b *Builder) error {
	e, outs := smallNet(b)
	b.Differentiate(e, "seed")
	for name, v := range outs {
		b.Output(name, v)
	}
	for _, p := range b.Params() {
		b.Output("grad/"+b.Name(p), b.Gradient(p))
	}
	return nil
}

func fill(name string, n int) []float32 {
	r := rng.New(11, name)
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64() * 0.5)
		if name == "v2" {
			out[i] = 0.5 + float32(r.Float64())
		}
	}
	return out
}

// tape runs the same network on Gorgonia's TapeMachine.
func tape(t *testing.T) map[string][]float32 {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	b := newBuilder()
	if err := describe(b); err != nil || b.err != nil {
		t.Fatal(err, b.err)
	}
	for n, leaf := range b.leaves {
		var data any = fill(leaf.Name, leaf.Shape.Count())
		if leaf.DType == ir.U8 {
			data = graphtest.Bytes(leaf.Name, leaf.Shape.Count())
		}
		if err := G.Let(n, tensor.New(tensor.WithShape(leaf.Shape...), tensor.WithBacking(data))); err != nil {
			t.Fatal(err)
		}
	}
	values := map[string]*G.Value{}
	for n, name := range b.outputs {
		v := new(G.Value)
		G.Read(n, v)
		values[name] = v
	}
	vm := G.NewTapeMachine(b.g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	out := map[string][]float32{}
	for name, v := range values {
		out[name] = (*v).Data().([]float32)
	}
	return out
}

func TestTapeMachineAndLoweredProgramAgreeBitForBit(t *testing.T) {
	want := tape(t)
	if len(want) != 4+12 {
		t.Fatalf("got %d outputs, want 16", len(want))
	}
	p, err := Build(describe)
	if err != nil {
		t.Fatal(err)
	}
	lowered := graphtest.Step(t, p, plan.Options{NoFuse: true}, fill)
	for name, w := range want {
		got := lowered.Output(t, name)
		var size float64
		for i := range w {
			size += math.Abs(float64(w[i]))
			if math.Float32bits(got[i]) != math.Float32bits(w[i]) {
				t.Fatalf("%s[%d]: got %v, want %v", name, i, got[i], w[i])
			}
		}
		if size == 0 {
			t.Errorf("%s is all zero: the test says nothing about it", name)
		}
	}
}

func TestFusionChangesNothingButRounding(t *testing.T) {
	p, err := Build(describe)
	if err != nil {
		t.Fatal(err)
	}
	plain, fused := graphtest.Step(t, p, plan.Options{NoFuse: true}, fill), graphtest.Step(t, p, plan.Options{}, fill)
	if fused.Steps >= plain.Steps {
		t.Fatalf("fused has %d steps, plain %d", fused.Steps, plain.Steps)
	}
	got := fused.All(t)
	for name, want := range plain.All(t) {
		if d := graphtest.Difference(got[name], want); !(d <= 1e-6) {
			t.Errorf("%s: relative difference %g", name, d)
		}
	}
}

// TestGradientsAgreeWithFiniteDifferences moves each parameter along a random direction: (cost(p+hd) − cost(p−hd))/2h against ⟨grad, d⟩. h = 5e-4: the
// reference kernels round to float32 only where tensors are stored, so rounding gives about 6e-8/5e-4, and few ReLU and max-pool kinks lie within h.
func TestGradientsAgreeWithFiniteDifferences(t *testing.T) {
	p, err := Build(describe)
	if err != nil {
		t.Fatal(err)
	}
	base := graphtest.Step(t, p, plan.Options{}, fill)
	const h = 5e-4
	for i := range p.Tensors {
		x := &p.Tensors[i]
		if x.Role != ir.Param {
			continue
		}
		dir := fill("dir/"+x.Name, x.Shape.Count())
		cost := func(h float32) (sum float64) {
			moved := graphtest.Step(t, p, plan.Options{}, func(name string, n int) []float32 {
				w := fill(name, n)
				if name == x.Name {
					for k := range w {
						w[k] += h * dir[k]
					}
				}
				return w
			})
			e := moved.Output(t, "e")
			for k, s := range fill("seed", len(e)) {
				sum += float64(e[k]) * float64(s)
			}
			return sum
		}
		grad := base.Output(t, "grad/"+x.Name)
		var want float64
		for k := range dir {
			want += float64(grad[k]) * float64(dir[k])
		}
		if got := (cost(h) - cost(-h)) / (2 * h); math.Abs(got-want) > 2e-3*(math.Abs(want)+0.05) {
			t.Errorf("%s: finite difference %v, gradient %v", x.Name, got, want)
		}
	}
}

func TestMistakesInANetworkAreErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(b *Builder) error
	}{
		{"a name used twice", func(b *Builder) error { b.Param("w", 1); b.Param("w", 2); return nil }},
		{"an empty name", func(b *Builder) error { b.Param("", 1); return nil }},
		{"shapes that do not fit", func(b *Builder) error {
			b.Conv(b.Input("x", ir.F32, 1, 4, 4, 3), b.Param("w", 2, 3, 3, 4), 1, 1)
			return nil
		}},
		{"a gradient that was not made", func(b *Builder) error { b.Gradient(b.Param("w", 1)); return nil }},
		{"an output named twice", func(b *Builder) error {
			x := b.Input("x", ir.F32, 1, 4, 4, 3)
			b.Output("y", b.ReLU(x))
			b.Output("y", b.ReLU(x))
			return nil
		}},
	} {
		if _, err := Build(c.f); errs.KindOf(err) != errs.Internal && errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}
