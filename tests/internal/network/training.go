package network

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/model"
	"libdsl/lib/plan"
)

// Training is a network's training program on a backend, with dropout off and the attention map among the outputs.
type Training struct {
	Tensors []ir.Tensor // of Store
	Store   backend.Store
	Program backend.Program
	net     *Network
	exec    backend.Executor
}

// Adam's constants as torch.optim.Adam has them, and momentum 0.1 of the running statistics.
func Adam(step int64, lr, weightDecay float64) *ir.Args {
	return &ir.Args{LR: lr, RowLR: lr, WeightDecay: weightDecay, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, Step: step, BNMomentum: 0.1}
}

// NewTraining compiles the program and fills store and inputs.
func (n *Network) NewTraining(be backend.Backend, o backend.Options) (*Training, error) {
	mode := model.Train
	if n.Mode == "batch" {
		mode = model.TrainBatch
	}
	return n.compile(be, o, mode)
}

// NewCalibration compiles the program that updates the running statistics and nothing else.
func (n *Network) NewCalibration(be backend.Backend, o backend.Options) (*Training, error) {
	return n.compile(be, o, model.Calibrate)
}

func (n *Network) compile(be backend.Backend, o backend.Options, mode model.Mode) (_ *Training, err error) {
	t := &Training{net: n}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if t.Tensors, err = model.Tensors(n.Arch, true); err != nil {
		return nil, err
	}
	program, err := model.Program(n.Arch, mode, n.Batch, n.Height, n.Width)
	if err != nil {
		return nil, err
	}
	if mode != model.Calibrate {
		reveal(program)
	}
	arranged, err := plan.Build(program, be.PlanOptions())
	if err != nil {
		return nil, err
	}
	if t.Store, err = be.NewStore(t.Tensors); err != nil {
		return nil, err
	}
	if t.exec, err = be.NewExecutor(o); err != nil {
		return nil, err
	}
	if t.Program, err = t.exec.Compile(arranged, t.Store); err != nil {
		return nil, err
	}
	return t, t.fill(mode)
}

// reveal switches dropout off and makes the attention map an output.
func reveal(p *ir.Program) {
	for i := range p.Steps {
		switch s := &p.Steps[i]; s.Kind {
		case ir.Dropout:
			s.Attrs.Rate = 0
		case ir.Sigmoid:
			gate := &p.Tensors[s.Out[0]]
			gate.Name, gate.Output = model.OutAttention, true
		}
	}
}

func (t *Training) fill(mode model.Mode) error {
	pixels, err := t.Program.Input(model.InPixels)
	if err != nil {
		return err
	}
	if len(pixels) != len(t.net.Pixels) {
		return errs.New(errs.Invalid, "network: pixels.u8: got %d bytes, want %d", len(t.net.Pixels), len(pixels))
	}
	copy(pixels, t.net.Pixels)
	if mode == model.Calibrate {
		return t.Reset()
	}
	seed, err := t.Program.InputF32(model.InSeed)
	if err != nil {
		return err
	}
	if len(seed) != len(t.net.Seed) {
		return errs.New(errs.Invalid, "network: seed.f32: got %d numbers, want %d", len(t.net.Seed), len(seed))
	}
	copy(seed, t.net.Seed)
	rows, err := t.Program.Input(model.InRows)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i] = 1
	}
	return t.Reset()
}

// Reset puts the weights and running statistics back and sets Adam's state to zero.
func (t *Training) Reset() error {
	for _, x := range t.Tensors {
		var err error
		switch w, ok := t.net.Weights[x.Name]; {
		case ok:
			err = t.Store.Write(x.Name, w)
		case x.DType == ir.I32:
			err = t.Store.WriteInts(x.Name, make([]int32, x.Shape.Count()))
		default:
			err = t.Store.Write(x.Name, make([]float32, x.Shape.Count()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Step runs the program once, forward and backward.
func (t *Training) Step(a *ir.Args) error {
	if err := t.Program.Forward(context.Background(), a); err != nil {
		return err
	}
	return t.Program.Backward(context.Background(), a)
}

// Read returns a tensor of the store.
func (t *Training) Read(name string) ([]float32, error) {
	for _, x := range t.Tensors {
		if x.Name == name {
			out := make([]float32, x.Shape.Count())
			return out, t.Store.Read(name, out)
		}
	}
	return nil, errs.New(errs.NotFound, "network: tensor %q is not in the store", name)
}

// Close frees everything.
func (t *Training) Close() {
	if t.Program != nil {
		t.Program.Close()
	}
	if t.exec != nil {
		t.exec.Close()
	}
	if t.Store != nil {
		t.Store.Close()
	}
}
