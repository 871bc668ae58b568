package plan

import (
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// net writes programs for tests: tensors by number, shapes inferred.
type net struct {
	t *testing.T
	p ir.Program
}

func (n *net) tensor(t ir.Tensor) ir.TensorID {
	n.p.Tensors = append(n.p.Tensors, t)
	return ir.TensorID(len(n.p.Tensors) - 1)
}

func (n *net) leaf(name string, role ir.Role, shape ...int) ir.TensorID {
	return n.tensor(ir.Tensor{Name: name, Shape: shape, Role: role})
}

// step adds a step and returns its outputs.
func (n *net) step(kind ir.Kind, a ir.Attrs, phase ir.Phase, in ...ir.TensorID) []ir.TensorID {
	n.t.Helper()
	shapes, err := ir.InferShapes(kind, &a, n.p.Shapes(in))
	if err != nil {
		n.t.Fatal(err)
	}
	s := ir.Step{Kind: kind, Attrs: a, Phase: phase, In: in}
	for k, shape := range shapes {
		s.Out = append(s.Out, n.tensor(ir.Tensor{Shape: shape, DType: ir.OutDType(kind, k)}))
	}
	n.p.Steps = append(n.p.Steps, s)
	return s.Out
}

// one adds a step of the Forward phase and returns its first output.
func (n *net) one(kind ir.Kind, a ir.Attrs, in ...ir.TensorID) ir.TensorID {
	n.t.Helper()
	return n.step(kind, a, ir.Forward, in...)[0]
}

// out marks tensors as outputs.
func (n *net) out(ids ...ir.TensorID) {
	for _, id := range ids {
		n.p.Tensors[id].Output = true
		n.p.Tensors[id].Name = "out"
	}
}

func (n *net) build(o Options) *Plan {
	n.t.Helper()
	p, err := Build(&n.p, o)
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

func kinds(p *Plan) []ir.Kind {
	var out []ir.Kind
	for _, s := range p.Steps {
		out = append(out, s.Kind)
	}
	return out
}

func TestPruneDropsWhatNobodyReads(t *testing.T) {
	n := &net{t: t}
	x, dy := n.leaf("x", ir.Input, 2, 8, 8, 4), n.leaf("dy", ir.Input, 2, 8, 8, 6)
	m, v := n.leaf("m", ir.State, 6), n.leaf("v", ir.State, 6)
	n.one(ir.Sigmoid, ir.Attrs{}, n.one(ir.ReLU, ir.Attrs{}, x)) // a dead chain
	grads := n.step(ir.ConvGradWeights, ir.Attrs{Kernel: 3, Stride: 1, Pad: 1}, ir.Forward, x, dy)
	n.out(grads[1])
	stats := n.step(ir.BatchNorm, ir.Attrs{}, ir.Forward, dy, m, v)
	n.step(ir.UpdateRunning, ir.Attrs{Count: 128}, ir.Update, stats[1], stats[2], m, v)
	p := n.build(Options{})
	if got := kinds(p); len(got) != 3 || got[0] != ir.ConvGradWeights || got[1] != ir.BatchNorm || got[2] != ir.UpdateRunning {
		t.Fatalf("got %v", got)
	}
	if out := p.Steps[0].Out; out[0] != ir.None || out[1] != grads[1] {
		t.Errorf("weights' gradient: got outputs %v, want the unread one absent", out)
	}
	if out := p.Steps[1].Out; out[0] != ir.None || out[1] != stats[1] || out[2] != stats[2] {
		t.Errorf("BatchNorm: got outputs %v, want the statistics only", out)
	}
	if p.Offset[grads[0]] != -1 || p.Offset[stats[0]] != -1 {
		t.Error("an absent output has a place in the arena")
	}
}

func TestBuildLeavesTheProgramAlone(t *testing.T) {
	n := &net{t: t}
	x, w := n.leaf("x", ir.Input, 2, 8, 8, 4), n.leaf("w", ir.Param, 4, 3, 3, 4)
	y := n.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, x, w)
	n.out(n.one(ir.ReLU, ir.Attrs{}, y))
	n.one(ir.Sigmoid, ir.Attrs{}, y)
	n.build(Options{})
	if len(n.p.Steps) != 3 || n.p.Steps[0].Attrs.ReLU || n.p.Steps[0].Out[0] != y || n.p.Steps[2].Out[0] == ir.None {
		t.Errorf("the program was changed: %+v", n.p.Steps)
	}
	if err := n.p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestBuildRefusesAnInvalidProgram(t *testing.T) {
	n := &net{t: t}
	x := n.leaf("x", ir.Input, 2, 8, 8, 4)
	n.one(ir.ReLU, ir.Attrs{}, x)
	n.p.Steps[0].Out[0] = x
	if _, err := Build(&n.p, Options{}); errs.KindOf(err) != errs.Internal {
		t.Errorf("got %v, want an Internal error", err)
	}
}
