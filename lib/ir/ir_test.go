package ir

import (
	"testing"

	"libdsl/lib/errs"
)

// good is x -> ReLU -> Pool -> v with an update of a state, each phase but Setup in use.
func good() *Program {
	x := Shape{2, 3, 3, 4}
	return &Program{
		Tensors: []Tensor{
			{Name: "x", Shape: x, Role: Input}, {Shape: x}, {Name: "v", Shape: Shape{2, 4}, Output: true}, {Shape: x},
			{Name: "m", Shape: Shape{2, 4}, Role: State}, {Name: "s", Shape: Shape{2, 4}, Role: State}, {Name: "w", Shape: Shape{2, 4}, Role: Param},
		},
		Steps: []Step{
			{Kind: ReLU, Phase: Forward, In: []TensorID{0}, Out: []TensorID{1}},
			{Kind: Pool, Phase: Forward, In: []TensorID{1}, Out: []TensorID{2}},
			{Kind: PoolGrad, Attrs: Attrs{In: [4]int(x)}, Phase: Backward, In: []TensorID{2}, Out: []TensorID{3}},
			{Kind: Adam, Phase: Update, In: []TensorID{2, 6, 4, 5}},
		},
	}
}

func TestValidate(t *testing.T) {
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		harm func(p *Program)
	}{
		{"two tensors of one name", func(p *Program) { p.Tensors[4].Name = "x" }},
		{"an input without a name", func(p *Program) { p.Tensors[0].Name = "" }},
		{"phases in the wrong order", func(p *Program) { p.Steps[0].Phase = Backward }},
		{"a phase that does not exist", func(p *Program) { p.Steps[3].Phase = NumPhases }},
		{"a tensor read before it is computed", func(p *Program) { p.Steps[0], p.Steps[1] = p.Steps[1], p.Steps[0] }},
		{"an operand beyond the tensors", func(p *Program) { p.Steps[0].In[0] = 7 }},
		{"an absent operand", func(p *Program) { p.Steps[0].In[0] = None }},
		{"an output beyond the tensors", func(p *Program) { p.Steps[0].Out[0] = 7 }},
		{"a negative output", func(p *Program) { p.Steps[0].Out[0] = -2 }},
		{"a tensor computed twice", func(p *Program) { p.Steps[2].Out[0] = 1 }},
		{"an input that a step writes", func(p *Program) { p.Steps[0].Out[0] = 0 }},
		{"a missing output", func(p *Program) { p.Steps[0].Out = nil }},
		{"an output too many", func(p *Program) { p.Steps[3].Out = []TensorID{3} }},
		{"a missing operand", func(p *Program) { p.Steps[3].In = p.Steps[3].In[:3] }},
		{"an output of another shape", func(p *Program) { p.Tensors[1].Shape = Shape{2, 3, 4, 3} }},
		{"an output of another element type", func(p *Program) { p.Tensors[1].DType = U8 }},
		{"operands that do not fit", func(p *Program) { p.Tensors[4].Shape = Shape{4, 2} }},
	} {
		p := good()
		c.harm(p)
		if err := p.Validate(); errs.KindOf(err) != errs.Internal {
			t.Errorf("%s: got %v, want an Internal error", c.name, err)
		}
	}
}

func TestAnUnreadOutputMayBeAbsent(t *testing.T) {
	p := good()
	p.Steps[2].Out[0] = None
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestFindLooksAtNamedTensorsOnly(t *testing.T) {
	p := good()
	if id, ok := p.Find("m"); !ok || id != 4 {
		t.Errorf("a state: got %d, %v", id, ok)
	}
	if _, ok := p.Find("v"); ok {
		t.Error("a temporary was found by name")
	}
	if _, ok := p.Find("nothing"); ok {
		t.Error("a tensor that is not there was found")
	}
}
