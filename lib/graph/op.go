package graph

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"libdsl/lib/backend/goref"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// opSeed is the cost Σ e ⊙ seed. It never leaves this package: its gradient is the seed itself.
const opSeed = ir.NumKinds

// op is one output of one step, as Gorgonia sees it. The outputs of a step are one op each, over the same children and with the same group,
// because Gorgonia's ops have one output; lowering joins them again.
type op struct {
	b     *Builder
	kind  ir.Kind
	attrs ir.Attrs
	which int
	group *group
	in    []hm.Type
	out   hm.Type
	uid   uint64
}

// group is the step that some ops are outputs of.
type group struct {
	nodes []*G.Node // by output
	phase ir.Phase
}

var _ G.SDOp = (*op)(nil)

// one applies a kind with a single output.
func (b *Builder) one(kind ir.Kind, attrs ir.Attrs, in ...Value) Value {
	out := b.apply(kind, attrs, in...)
	if b.err != nil {
		return Value{}
	}
	return out[0]
}

// apply makes the nodes of one step, one per output. Output 0 is made last, so that its gradient finds the others.
func (b *Builder) apply(kind ir.Kind, attrs ir.Attrs, in ...Value) []Value {
	if b.err != nil {
		return make([]Value, 4)
	}
	nodes := make([]*G.Node, len(in))
	shapes := make([]ir.Shape, len(in))
	for i, v := range in {
		nodes[i], shapes[i] = v.n, v.Shape()
	}
	outs := []ir.Shape{nil}
	if kind != opSeed {
		var err error
		if outs, err = ir.InferShapes(kind, &attrs, shapes); err != nil {
			b.err = errs.Wrap(errs.Invalid, err, "graph")
			return make([]Value, 4)
		}
	}
	g := &group{nodes: make([]*G.Node, len(outs)), phase: b.phase}
	if kind == ir.ScaleWeights || kind == ir.ShiftBias {
		g.phase = ir.Setup
	}
	values := make([]Value, len(outs))
	for k := len(outs) - 1; k >= 0; k-- {
		if g.nodes[k] = b.node(kind, attrs, k, g, outs[k], nodes); b.err != nil {
			return make([]Value, 4)
		}
		values[k] = Value{g.nodes[k]}
	}
	return values
}

// node applies one op and makes sure that Gorgonia did not merge it into another node: it compares 32-bit hashes, not children.
func (b *Builder) node(kind ir.Kind, attrs ir.Attrs, which int, g *group, shape ir.Shape, in []*G.Node) *G.Node {
	b.uid++
	o := &op{b: b, kind: kind, attrs: attrs, which: which, group: g, uid: b.uid, out: tensor.Float32}
	for _, n := range in {
		o.in = append(o.in, G.TensorType{Dims: n.Dims(), Of: n.Dtype()})
	}
	if kind != opSeed {
		o.out = G.TensorType{Dims: len(shape), Of: dtypes[ir.OutDType(kind, which)]}
	}
	n, err := G.ApplyOp(o, slices.Clone(in)...)
	if err != nil {
		b.err = errs.Wrap(errs.Internal, err, "graph: %v", o)
		return nil
	}
	if n.Op() != G.Op(o) {
		b.err = errs.New(errs.Internal, "graph: Gorgonia merged %v into %v", o, n)
	}
	return n
}

func (o *op) Arity() int { return len(o.in) }

// Type is built anew on each call: Gorgonia returns it to a pool.
func (o *op) Type() hm.Type { return hm.NewFnType(append(slices.Clone(o.in), o.out)...) }

func (o *op) InferShape(in ...G.DimSizer) (tensor.Shape, error) {
	given, err := G.DimSizersToShapes(in)
	if err != nil {
		return nil, err
	}
	if o.kind == opSeed {
		return tensor.ScalarShape(), nil
	}
	shapes := make([]ir.Shape, len(given))
	for i, s := range given {
		shapes[i] = ir.Shape(s)
	}
	out, err := ir.InferShapes(o.kind, &o.attrs, shapes)
	if err != nil {
		return nil, err
	}
	return tensor.Shape(slices.Clone(out[o.which])), nil
}

// Do runs the reference kernel; only the TapeMachine calls it, in tests.
func (o *op) Do(values ...G.Value) (G.Value, error) {
	in := make([]goref.Buf, len(values))
	shapes := make([]ir.Shape, len(values))
	for i, v := range values {
		in[i] = toBuf(v)
		shapes[i] = in[i].Shape
	}
	if o.kind == opSeed {
		sum := 0.0
		for i, e := range in[0].F {
			sum += float64(e) * float64(in[1].F[i])
		}
		return G.NewF32(float32(sum)), nil
	}
	outs, err := ir.InferShapes(o.kind, &o.attrs, shapes)
	if err != nil {
		return nil, err
	}
	bufs := make([]goref.Buf, len(outs))
	for k, s := range outs {
		bufs[k] = goref.Buf{Shape: s, F: make([]float32, s.Count()), U: make([]uint8, s.Count())}
	}
	goref.Run(o.kind, &o.attrs, &ir.Args{}, in, bufs)
	var data any = bufs[o.which].F
	if ir.OutDType(o.kind, o.which) == ir.U8 {
		data = bufs[o.which].U
	}
	return tensor.New(tensor.WithShape(outs[o.which]...), tensor.WithBacking(data)), nil
}

func toBuf(v G.Value) goref.Buf {
	b := goref.Buf{Shape: ir.Shape(v.Shape())}
	switch data := v.Data().(type) {
	case []float32:
		b.F = data
	case []uint8:
		b.U = data
	}
	return b
}

func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }

// WriteHash holds a number of its own for each op, so that no two ops are ever taken for one.
func (o *op) WriteHash(h hash.Hash) {
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], o.uid)
	h.Write(append(id[:], o.String()...))
}

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *op) String() string {
	if o.kind == opSeed {
		return "Seed"
	}
	return fmt.Sprintf("%v.%d", o.kind, o.which)
}
