package backbone

import (
	"math"
	"strings"
	"testing"

	"libdsl/lib/graph"
	"libdsl/lib/graph/graphtest"
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

// TestFusionChangesNothingButRounding runs a training step of a whole ResNet-18 fused and as it was lowered. Fusion saves roundings to float32 between steps,
// and ReLU's kinks can turn one of those into a change of a gradient: hence 1e-3 beside float32's 6e-8.
func TestFusionChangesNothingButRounding(t *testing.T) {
	for _, norm := range []nn.Norm{nn.Frozen, nn.Batch} {
		p := trainable(t, norm)
		plain, fused := graphtest.Step(t, p, plan.Options{NoFuse: true}, normal), graphtest.Step(t, p, plan.Options{}, normal)
		if fused.Steps >= plain.Steps {
			t.Errorf("norm %d: %d steps fused, %d before", norm, fused.Steps, plain.Steps)
		}
		got := fused.All(t)
		for name, want := range plain.All(t) {
			if d := graphtest.Difference(got[name], want); !(d < 1e-3) {
				t.Errorf("norm %d, %s: relative difference %g", norm, name, d)
			}
		}
	}
}
