package graph

import (
	"slices"

	G "gorgonia.org/gorgonia"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// lowering turns nodes into tensors and steps.
type lowering struct {
	b     *Builder
	p     ir.Program
	id    map[*G.Node]ir.TensorID
	steps map[*group]int
}

// lower walks all nodes in Gorgonia's order, in which children come first; plan drops what nobody needs.
func (b *Builder) lower() (*ir.Program, error) {
	l := &lowering{b: b, id: map[*G.Node]ir.TensorID{}, steps: map[*group]int{}}
	for _, n := range b.g.AllNodes() {
		if err := l.node(n); err != nil {
			return nil, err
		}
	}
	for _, u := range b.updates {
		l.p.Steps = append(l.p.Steps, ir.Step{Kind: u.kind, Attrs: u.attrs, Phase: ir.Update, In: l.ids(u.in)})
	}
	slices.SortStableFunc(l.p.Steps, func(x, y ir.Step) int { return int(x.Phase) - int(y.Phase) })
	return &l.p, l.p.Validate()
}

func (l *lowering) node(n *G.Node) error {
	if leaf, ok := l.b.leaves[n]; ok {
		l.tensor(n, leaf)
		return nil
	}
	if o, ok := n.Op().(*op); ok {
		if o.kind != opSeed {
			l.output(n, o)
		}
		return nil
	}
	if _, constant := n.Op().(interface{ Value() G.Value }); constant {
		return nil // the derivative 1 of the cost, which the gradient of opSeed replaces
	}
	if o, ok := n.Op().(G.BinaryOp); ok && o.IsBinary() && o.String() == "+ false" {
		l.sum(n)
		return nil
	}
	return errs.New(errs.Internal, "graph: Gorgonia made an op that cannot be lowered: %v", n.Op())
}

func (l *lowering) tensor(n *G.Node, t ir.Tensor) ir.TensorID {
	id := ir.TensorID(len(l.p.Tensors))
	l.p.Tensors = append(l.p.Tensors, t)
	l.id[n] = id
	return id
}

// temp is the tensor of a computed node.
func (l *lowering) temp(n *G.Node, d ir.DType) ir.TensorID {
	name, output := l.b.outputs[n]
	return l.tensor(n, ir.Tensor{Name: name, Shape: ir.Shape(n.Shape().Clone()), DType: d, Output: output})
}

// output adds one output of a step; the first that is met adds the step.
func (l *lowering) output(n *G.Node, o *op) {
	i, ok := l.steps[o.group]
	if !ok {
		i = len(l.p.Steps)
		l.steps[o.group] = i
		out := make([]ir.TensorID, len(o.group.nodes))
		for k := range out {
			out[k] = ir.None
		}
		l.p.Steps = append(l.p.Steps, ir.Step{Kind: o.kind, Attrs: o.attrs, Phase: o.group.phase, In: l.ids(l.children(n)), Out: out})
	}
	l.p.Steps[i].Out[o.which] = l.temp(n, ir.OutDType(o.kind, o.which))
}

// sum is Gorgonia's own elementwise addition, which it makes where a value has several consumers.
func (l *lowering) sum(n *G.Node) {
	in := l.ids(l.children(n))
	l.p.Steps = append(l.p.Steps, ir.Step{Kind: ir.Add, Phase: ir.Backward, In: in, Out: []ir.TensorID{l.temp(n, ir.F32)}})
}

// children in argument order, duplicates kept.
func (l *lowering) children(n *G.Node) []*G.Node {
	var out []*G.Node
	for it := l.b.g.From(n.ID()); it.Next(); {
		out = append(out, it.Node().(*G.Node))
	}
	return out
}

func (l *lowering) ids(nodes []*G.Node) []ir.TensorID {
	out := make([]ir.TensorID, len(nodes))
	for i, n := range nodes {
		id, ok := l.id[n]
		if !ok {
			panic("graph: an operand was not lowered before its use: " + n.String())
		}
		out[i] = id
	}
	return out
}
