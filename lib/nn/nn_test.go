package nn

import (
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/graph"
	"libdsl/lib/ir"
)

func lower(t *testing.T, norm Norm, describe func(n *Net) graph.Value) (*ir.Program, ir.Shape) {
	t.Helper()
	var shape ir.Shape
	p, err := graph.Build(func(b *graph.Builder) error {
		y := describe(&Net{b, norm})
		shape = y.Shape()
		b.Output("y", y)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, shape
}

func count(p *ir.Program, k ir.Kind) (n int) {
	for _, s := range p.Steps {
		if s.Kind == k {
			n++
		}
	}
	return n
}

func TestConvNormFoldsWhereBatchNormIsFrozen(t *testing.T) {
	layer := func(n *Net) graph.Value { return n.ConvNorm(n.Input("x", ir.F32, 2, 9, 8, 3), "conv", "bn", 6, 3, 2) }
	want := map[string]struct {
		shape ir.Shape
		role  ir.Role
	}{
		"conv.weight": {ir.Shape{6, 3, 3, 3}, ir.Param}, "bn.weight": {ir.Shape{6}, ir.Param}, "bn.bias": {ir.Shape{6}, ir.Param},
		"bn.running_mean": {ir.Shape{6}, ir.State}, "bn.running_var": {ir.Shape{6}, ir.State},
	}
	for _, c := range []struct {
		norm                     Norm
		folds, norms, statistics int
	}{{Frozen, 1, 0, 0}, {Batch, 0, 1, 1}} {
		p, shape := lower(t, c.norm, layer)
		if !shape.Equal(ir.Shape{2, 5, 4, 6}) {
			t.Errorf("norm %d: got shape %v", c.norm, shape)
		}
		if count(p, ir.ScaleWeights) != c.folds || count(p, ir.BatchNorm) != c.norms || count(p, ir.UpdateRunning) != c.statistics {
			t.Errorf("norm %d: got steps %+v", c.norm, p.Steps)
		}
		for name, w := range want {
			id, ok := p.Find(name)
			if !ok || !p.Tensors[id].Shape.Equal(w.shape) || p.Tensors[id].Role != w.role {
				t.Errorf("norm %d: %s is missing or wrong", c.norm, name)
			}
		}
		for _, s := range p.Steps {
			if s.Kind == ir.UpdateRunning && s.Attrs.Count != 2*5*4 {
				t.Errorf("running statistics count %d samples, want 40", s.Attrs.Count)
			}
			if (s.Kind == ir.ScaleWeights || s.Kind == ir.BatchNorm) && s.Attrs.Eps != 1e-5 {
				t.Errorf("%v: ε is %v, want torchvision's 1e-5", s.Kind, s.Attrs.Eps)
			}
		}
	}
}

func TestLayersWithBias(t *testing.T) {
	p, shape := lower(t, Frozen, func(n *Net) graph.Value {
		y := n.ConvLayer(n.Input("x", ir.F32, 2, 9, 8, 3), "conv", 5, 3)
		return n.LinearLayer(n.Pool(y), "fc", 7)
	})
	if !shape.Equal(ir.Shape{2, 7}) {
		t.Errorf("got shape %v, want [2 7]", shape)
	}
	for name, want := range map[string]ir.Shape{"conv.weight": {5, 3, 3, 3}, "conv.bias": {5}, "fc.weight": {7, 5}, "fc.bias": {7}} {
		if id, ok := p.Find(name); !ok || !p.Tensors[id].Shape.Equal(want) {
			t.Errorf("%s is missing or not shaped %v", name, want)
		}
	}
}

func TestTheFirstMistakeIsReported(t *testing.T) {
	_, err := graph.Build(func(b *graph.Builder) error {
		n := &Net{Builder: b}
		y := n.ConvNorm(n.Input("x", ir.F32, 1, 2, 2, 3), "a", "a.bn", 4, 3, 1)
		y = n.ConvNorm(y, "a", "b.bn", 4, 3, 1) // the name again
		n.LinearLayer(n.Pool(n.ReLU(y)), "fc", 2)
		return nil
	})
	if errs.KindOf(err) != errs.Internal {
		t.Errorf("got %v, want an Internal error about the name", err)
	}
}
