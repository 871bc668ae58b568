package graph

import (
	G "gorgonia.org/gorgonia"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// differentiable lists, for each kind that has a gradient, the operands that it flows to.
var differentiable = map[ir.Kind][]bool{
	ir.Conv:         {true, true, true},
	ir.ScaleWeights: {true, true, false},
	ir.ShiftBias:    {true, true, false, false},
	ir.BatchNorm:    {true, true, true},
	ir.ReLU:         {true},
	ir.Add:          {true, true},
	ir.MaxPool:      {true},
	ir.Sigmoid:      {true},
	ir.Pool:         {true},
	ir.GatedPool:    {true, true},
	ir.Dropout:      {true},
	ir.Linear:       {true, true, true},
	opSeed:          {true, false},
}

// DiffWRT has one entry per operand, never none: Gorgonia takes an empty list for an error. Only a step's first output has a gradient.
func (o *op) DiffWRT(n int) []bool {
	wrt := make([]bool, n)
	if o.which == 0 {
		copy(wrt, differentiable[o.kind])
	}
	return wrt
}

// SymDiff gives the gradient with respect to each operand, nil where DiffWRT is false.
func (o *op) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	v := make([]Value, len(in))
	for i, n := range in {
		v[i] = Value{n}
	}
	grads := o.gradient(v, Value{out}, Value{grad})
	if o.b.err != nil {
		return nil, o.b.err
	}
	if grads == nil {
		return nil, errs.New(errs.Internal, "graph: %v has no gradient", o.kind)
	}
	nodes := make(G.Nodes, len(in))
	for i := range nodes {
		nodes[i] = grads[i].n
	}
	return nodes, nil
}

// gradient is the table of derivatives: x are the operands, y the first output, dy its gradient.
func (o *op) gradient(x []Value, y, dy Value) []Value {
	b, a := o.b, o.attrs
	switch o.kind {
	case opSeed:
		return []Value{x[1], {}}
	case ir.Conv:
		at := ir.Attrs{Kernel: x[1].Shape()[1], Stride: a.Stride, Pad: a.Pad, In: [4]int(x[0].Shape())}
		dx := b.one(ir.ConvGradData, at, x[1], dy)
		return append([]Value{dx}, b.apply(ir.ConvGradWeights, at, x[0], dy)...)
	case ir.ScaleWeights:
		return append(b.apply(ir.ScaleWeightsGrad, a, x[0], x[1], x[2], dy), Value{})
	case ir.ShiftBias:
		return []Value{b.one(ir.ShiftBiasGrad, a, x[0], x[2], x[3], dy), dy, {}, {}}
	case ir.BatchNorm:
		mean, variance := Value{o.group.nodes[1]}, Value{o.group.nodes[2]}
		return b.apply(ir.BatchNormGrad, ir.Attrs{Eps: a.Eps}, x[0], mean, variance, x[1], dy)
	case ir.ReLU:
		return []Value{b.one(ir.ReLUGrad, a, y, dy)}
	case ir.Add:
		return []Value{dy, dy}
	case ir.MaxPool:
		a.In = [4]int(x[0].Shape())
		return []Value{b.one(ir.MaxPoolGrad, a, Value{o.group.nodes[1]}, dy)}
	case ir.Sigmoid:
		return []Value{b.one(ir.SigmoidGrad, a, y, dy)}
	case ir.Pool:
		return []Value{b.one(ir.PoolGrad, ir.Attrs{In: [4]int(x[0].Shape())}, dy)}
	case ir.GatedPool:
		return b.apply(ir.GatedPoolGrad, a, x[0], x[1], dy)
	case ir.Dropout:
		return []Value{b.one(ir.Dropout, a, dy)}
	case ir.Linear:
		dv := b.one(ir.LinearGradData, a, x[1], dy)
		return append([]Value{dv}, b.apply(ir.LinearGradWeights, a, x[0], dy)...)
	}
	return nil
}
