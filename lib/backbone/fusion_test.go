package backbone

import (
	"context"
	"math"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/graph"
	"libdsl/lib/ir"
	"libdsl/lib/nn"
	"libdsl/lib/plan"
	"libdsl/lib/rng"
)

// trainable is a ResNet-18 whose pooled features are the result, with every gradient as an output.
func trainable(t *testing.T, norm nn.Norm) *ir.Program {
	t.Helper()
	p, err := graph.Build(func(b *graph.Builder) error {
		n := &nn.Net{Builder: b, Norm: norm}
		e := n.LinearLayer(n.Pool(Build(n, "resnet18", Standard, n.Input("x", ir.F32, 2, 24, 24, 3))), "fc", 3)
		n.Differentiate(e, "seed")
		n.Output("e", e)
		for _, p := range n.Params() {
			n.Output("grad/"+n.Name(p), n.Gradient(p))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func normal(name string, n int) []float32 {
	r, out := rng.New(3, name), make([]float32, n)
	scale := math.Sqrt(2 / float64(max(n/256, 9)))
	for i := range out {
		switch {
		case strings.HasSuffix(name, "running_var"):
			out[i] = 0.5 + float32(r.Float64())
		case name == "x" || name == "seed":
			out[i] = float32(r.NormFloat64())
		default:
			out[i] = float32(r.NormFloat64() * scale)
		}
	}
	return out
}

// outputs runs a step of the program on goref and returns all outputs and the state it leaves.
func outputs(t *testing.T, p *ir.Program, o plan.Options) (out map[string][]float32, steps int) {
	t.Helper()
	arranged, err := plan.Build(p, o)
	if err != nil {
		t.Fatal(err)
	}
	var stored []ir.Tensor
	for _, x := range p.Tensors {
		if x.Role == ir.Param || x.Role == ir.State {
			stored = append(stored, x)
		}
	}
	be := goref.Backend{}
	s, _ := be.NewStore(stored)
	for _, x := range stored {
		if err := s.Write(x.Name, normal(x.Name, x.Shape.Count())); err != nil {
			t.Fatal(err)
		}
	}
	ex, _ := be.NewExecutor(backend.Options{})
	prog, err := ex.Compile(arranged, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "seed"} {
		in, err := prog.InputF32(name)
		if err != nil {
			t.Fatal(err)
		}
		copy(in, normal(name, len(in)))
	}
	args := &ir.Args{BNMomentum: 0.1}
	if err := prog.Forward(context.Background(), args); err != nil {
		t.Fatal(err)
	}
	if err := prog.Backward(context.Background(), args); err != nil {
		t.Fatal(err)
	}
	out = map[string][]float32{}
	for _, x := range p.Tensors {
		if x.Output {
			if out[x.Name], err = prog.Output(x.Name); err != nil {
				t.Fatal(err)
			}
		}
		if x.Role == ir.State {
			out[x.Name] = make([]float32, x.Shape.Count())
			if err := s.Read(x.Name, out[x.Name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out, len(arranged.Steps)
}

// TestFusionChangesNothingButRounding runs a training step of a whole ResNet-18 fused and as it was lowered. Fusion saves roundings to float32 between steps,
// and ReLU's kinks can turn one of those into a change of a gradient: hence 1e-3 beside float32's 6e-8.
func TestFusionChangesNothingButRounding(t *testing.T) {
	for _, norm := range []nn.Norm{nn.Frozen, nn.Batch} {
		p := trainable(t, norm)
		want, all := outputs(t, p, plan.Options{NoFuse: true})
		got, fewer := outputs(t, p, plan.Options{})
		if fewer >= all {
			t.Errorf("norm %d: %d steps fused, %d before", norm, fewer, all)
		}
		for name, w := range want {
			var diff, size float64
			for i := range w {
				d := float64(got[name][i]) - float64(w[i])
				diff += d * d
				size += float64(w[i]) * float64(w[i])
			}
			if e := math.Sqrt(diff / size); !(e < 1e-3) {
				t.Errorf("norm %d, %s: relative difference %g", norm, name, e)
			}
		}
	}
}
