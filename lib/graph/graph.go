// Package graph describes a network and differentiates it: the only place where either happens.
//
// A Builder makes a Gorgonia expression graph out of our own ops (op.go), whose gradients (diff.go) Gorgonia chains, and lowers forward, backward and
// update steps to an ir.Program (lower.go). The expression graph carries no values and is dropped after lowering. The cost is Σ e ⊙ seed, with
// seed = dL/de given from outside at run time, so that its gradient is Jᵀ·seed for any loss on the host.
//
// Gorgonia keeps package-level state that is not safe for concurrent use, so Build holds one lock from the first op to the lowered program.
package graph

import (
	"sync"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

var mu sync.Mutex

// Value is a node of the graph under construction; the zero Value stands for the result of a failed call.
type Value struct{ n *G.Node }

// Shape of the value; nil for the zero Value.
func (v Value) Shape() ir.Shape {
	if v.n == nil {
		return nil
	}
	return ir.Shape(v.n.Shape().Clone())
}

// Builder collects a network. The first error sticks and every later call returns the zero Value, so that a network reads as a
// list of layers; Build reports it.
type Builder struct {
	g       *G.ExprGraph
	err     error
	uid     uint64
	leaves  map[*G.Node]ir.Tensor
	names   map[string]bool
	params  []*G.Node
	grads   map[*G.Node]*G.Node
	outputs map[*G.Node]string
	updates []update
	phase   ir.Phase // of the ops made now
}

type update struct {
	kind  ir.Kind
	attrs ir.Attrs
	in    []*G.Node
}

// Build runs describe on a new Builder and lowers what it described. Errors: the first one of any Builder call or of describe;
// Internal when Gorgonia fails or panics.
func Build(describe func(b *Builder) error) (p *ir.Program, err error) {
	mu.Lock()
	defer mu.Unlock()
	defer errs.Recover(&err)
	b := newBuilder()
	if err := describe(b); err != nil {
		return nil, err
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.lower()
}

func newBuilder() *Builder {
	return &Builder{g: G.NewGraph(), leaves: map[*G.Node]ir.Tensor{}, names: map[string]bool{},
		outputs: map[*G.Node]string{}, phase: ir.Forward}
}

// Input is a tensor that the host writes before each run.
func (b *Builder) Input(name string, d ir.DType, shape ...int) Value {
	return b.leaf(ir.Tensor{Name: name, Shape: shape, DType: d, Role: ir.Input})
}

// Param is a trained float32 tensor.
func (b *Builder) Param(name string, shape ...int) Value {
	v := b.leaf(ir.Tensor{Name: name, Shape: shape, Role: ir.Param})
	if v.n != nil {
		b.params = append(b.params, v.n)
	}
	return v
}

// State is a tensor that only updates change.
func (b *Builder) State(name string, d ir.DType, shape ...int) Value {
	return b.leaf(ir.Tensor{Name: name, Shape: shape, DType: d, Role: ir.State})
}

var dtypes = map[ir.DType]tensor.Dtype{ir.F32: tensor.Float32, ir.U8: tensor.Uint8, ir.I32: tensor.Int32}

// leaf makes a named node. The name is its identity for Gorgonia: two nodes of one name would be merged.
func (b *Builder) leaf(t ir.Tensor) Value {
	if b.err != nil {
		return Value{}
	}
	if t.Name == "" || b.names[t.Name] {
		b.err = errs.New(errs.Internal, "graph: tensor %q: the name is empty or taken", t.Name)
		return Value{}
	}
	b.names[t.Name] = true
	n := G.NewTensor(b.g, dtypes[t.DType], len(t.Shape), G.WithShape(t.Shape...), G.WithName(t.Name))
	b.leaves[n] = t
	return Value{n}
}

// Output gives a value that the host reads after a run its name. One value can be one output only.
func (b *Builder) Output(name string, v Value) {
	if b.err != nil {
		return
	}
	if b.names[name] || b.outputs[v.n] != "" || b.leaves[v.n].Name != "" {
		b.err = errs.New(errs.Internal, "graph: output %q: the name is taken, or the value has a name already", name)
		return
	}
	b.names[name] = true
	b.outputs[v.n] = name
}

// Differentiate makes the gradients of Σ e ⊙ seed with respect to every Param so far. The new Input called seed takes dL/de, shaped
// as e. It can be called once.
func (b *Builder) Differentiate(e Value, seed string) {
	s := b.Input(seed, ir.F32, e.Shape()...)
	cost := b.one(opSeed, ir.Attrs{}, e, s)
	if b.err != nil {
		return
	}
	b.phase = ir.Backward
	grads, err := G.Grad(cost.n, b.params...)
	if b.err == nil && err != nil {
		b.err = errs.Wrap(errs.Internal, err, "graph: gradient")
	}
	if b.err != nil {
		return
	}
	b.grads = map[*G.Node]*G.Node{}
	for i, p := range b.params {
		b.grads[p] = grads[i]
	}
}

// Gradient of a Param, after Differentiate.
func (b *Builder) Gradient(p Value) Value {
	if b.err == nil && b.grads[p.n] == nil {
		b.err = errs.New(errs.Internal, "graph: no gradient for %v", p.n)
	}
	if b.err != nil {
		return Value{}
	}
	return Value{b.grads[p.n]}
}

// Params lists the Params so far, in the order in which they were made.
func (b *Builder) Params() []Value {
	out := make([]Value, len(b.params))
	for i, n := range b.params {
		out[i] = Value{n}
	}
	return out
}

// Name of a leaf; empty for other values.
func (b *Builder) Name(v Value) string { return b.leaves[v.n].Name }

// Update adds a step of the Update phase (ir.UpdateRunning, ir.Adam).
func (b *Builder) Update(kind ir.Kind, attrs ir.Attrs, in ...Value) {
	if b.err != nil {
		return
	}
	u := update{kind: kind, attrs: attrs}
	for _, v := range in {
		u.in = append(u.in, v.n)
	}
	b.updates = append(b.updates, u)
}
