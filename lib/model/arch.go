// Package model is the network of the method, whole: backbone, attention, embedding and learners; and the runner that computes
// embeddings, attention maps and training steps with it.
//
// A Model is immutable and may be shared by any number of sessions; a trainer works on a Runner of its own. The package knows images only
// as u8 pixels [B,H,W,3] of the network's size; files, crops and geometry belong to imageio.
package model

import (
	"fmt"

	"libdsl/lib/backbone"
	"libdsl/lib/errs"
	"libdsl/lib/graph"
	"libdsl/lib/ir"
	"libdsl/lib/nn"
)

// B batch, H W pixels, H' W' feature grid, C feature channels, D embedding dim.

// Attention choices.
const (
	Gate        = "gate"
	NoAttention = "none"
)

// DropoutRate is the rate before the embedding in training.
const DropoutRate = 0.01

// Preprocessing of pixels: the statistics of ImageNet, in [0, 1] RGB.
var (
	Mean = [3]float32{0.485, 0.456, 0.406}
	Std  = [3]float32{0.229, 0.224, 0.225}
)

// Arch is the architecture of a network.
type Arch struct {
	Backbone     string // resnet18, resnet34, resnet50
	Stem         string // standard, small
	Attention    string // gate, none
	EmbeddingDim int    // D; the number of classes while training as a classification network
}

// Check returns an Invalid error that names what is wrong.
func (a Arch) Check() error {
	if err := backbone.Check(a.Backbone, a.Stem); err != nil {
		return err
	}
	if a.Attention != Gate && a.Attention != NoAttention {
		return errs.New(errs.Invalid, "model: attention: got %q, want %q or %q", a.Attention, Gate, NoAttention)
	}
	if a.EmbeddingDim < 1 || a.EmbeddingDim > 4096 {
		return errs.New(errs.Invalid, "model: embedding_dim: got %d, want 1 to 4096", a.EmbeddingDim)
	}
	return nil
}

// Mode says what a program computes.
type Mode uint8

// Embed gives the embedding, the penultimate vector and the attention map; Explain the features too. Train is a step with frozen
// BatchNorm, TrainBatch one with batch statistics. Calibrate runs the batch-statistics network forward and only updates the running statistics.
const (
	Embed Mode = iota
	Explain
	Train
	TrainBatch
	Calibrate
)

// Names of a program's inputs and outputs.
const (
	InPixels       = "pixels"      // u8 [B,H,W,3]
	InSeed         = "seed"        // dL/de, float32 [B,D]
	InRows         = "rows"        // u8 [D]: 1 for embedding neurons that the step trains
	OutEmbedding   = "embedding"   // e = Wv + b [B,D], not normalised
	OutPenultimate = "penultimate" // v [B,C]
	OutAttention   = "attention"   // A [B,H',W',1]
	OutFeatures    = "features"    // F [B,H',W',C]
)

// Names of the parameters that code speaks of.
const (
	EmbeddingWeight = "embedding.weight" // [D,C]
	EmbeddingBias   = "embedding.bias"   // [D]
)

// perRow reports whether Adam counts the steps of a parameter row by row.
func perRow(name string) bool { return ofHead(name) }

// MomentName, VarianceName and CountName name the Adam state of a parameter; only the embedding has counts.
func MomentName(param string) string { return "adam.m/" + param }

// VarianceName names Adam's second moment.
func VarianceName(param string) string { return "adam.v/" + param }

// CountName names Adam's step count per row.
func CountName(param string) string { return "adam.count/" + param }

// Program describes, differentiates and lowers the network for one mode and input shape.
func Program(a Arch, mode Mode, batch, height, width int) (*ir.Program, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	if batch < 1 || height < 1 || width < 1 {
		return nil, errs.New(errs.Invalid, "model: input: got %d images of %d×%d, want 1×1 or more", batch, height, width)
	}
	return graph.Build(func(b *graph.Builder) error {
		describe(b, a, mode, batch, height, width)
		return nil
	})
}

func describe(b *graph.Builder, a Arch, mode Mode, batch, height, width int) {
	n := &nn.Net{Builder: b}
	if mode == TrainBatch || mode == Calibrate {
		n.Norm = nn.Batch
	}
	training := mode == Train || mode == TrainBatch
	x := n.Normalize(n.Input(InPixels, ir.U8, batch, height, width, 3), Mean, Std)
	f := backbone.Build(n, a.Backbone, a.Stem, x)
	v, gate := pool(n, a, f)
	e := v
	if training {
		e = n.Dropout(v, DropoutRate)
	}
	e = n.LinearLayer(e, "embedding", a.EmbeddingDim)
	if training {
		n.Differentiate(e, InSeed)
		adam(n)
	}
	if mode == Calibrate {
		return
	}
	n.Output(OutEmbedding, e)
	if training {
		return
	}
	n.Output(OutPenultimate, v)
	if a.Attention == Gate {
		n.Output(OutAttention, gate)
	}
	if mode == Explain {
		n.Output(OutFeatures, f)
	}
}

// pool applies the attention A = σ(conv3(ReLU(conv2(ReLU(conv1(F)))))) and averages over the grid.
func pool(n *nn.Net, a Arch, f graph.Value) (v, gate graph.Value) {
	if a.Attention == NoAttention {
		return n.Pool(f), gate
	}
	c := backbone.Channels(a.Backbone)
	h := n.ReLU(n.ConvLayer(f, "attention.0", c/8, 3))
	h = n.ReLU(n.ConvLayer(h, "attention.2", c/32, 3))
	gate = n.Sigmoid(n.ConvLayer(h, "attention.4", 1, 3))
	return n.GatedPool(f, gate), gate
}

// adam adds the optimiser's update of each parameter; the embedding's rows are counted one by one.
func adam(n *nn.Net) {
	rows := graph.Value{}
	for _, p := range n.Params() {
		name, shape := n.Name(p), p.Shape()
		in := []graph.Value{n.Gradient(p), p, n.State(MomentName(name), ir.F32, shape...), n.State(VarianceName(name), ir.F32, shape...)}
		if perRow(name) {
			if rows.Shape() == nil {
				rows = n.Input(InRows, ir.U8, shape[0])
			}
			in = append(in, rows, n.State(CountName(name), ir.I32, shape[0]))
		}
		n.Update(ir.Adam, ir.Attrs{PerRow: perRow(name)}, in...)
	}
}

// Tensors lists what a store of the network holds, in a fixed order: parameters and running statistics, and with training also
// Adam's state.
func Tensors(a Arch, training bool) ([]ir.Tensor, error) {
	mode, size := Embed, 32 // any size gives the same tensors
	if training {
		mode = Train
	}
	p, err := Program(a, mode, 1, size, size)
	if err != nil {
		return nil, err
	}
	var out []ir.Tensor
	for _, t := range p.Tensors {
		if t.Role == ir.Param || t.Role == ir.State {
			out = append(out, t)
		}
	}
	return out, nil
}

// Grid is the size of the feature grid H'×W' for images of height×width pixels.
func Grid(stem string, height, width int) (gh, gw int) {
	along := func(n int) int {
		n = ir.ConvOut(n, 7, 2, 3)
		if stem == backbone.Standard {
			n = ir.ConvOut(n, 3, 2, 1)
		}
		return ir.ConvOut(ir.ConvOut(n, 3, 2, 1), 3, 2, 1)
	}
	return along(height), along(width)
}

func (a Arch) String() string {
	return fmt.Sprintf("%s (%s stem) to stage 3, attention %s, %d dimensions", a.Backbone, a.Stem, a.Attention, a.EmbeddingDim)
}
