// Package bench holds the benchmarks against PyTorch (run.sh) and what a training step allocates.
package bench

import (
	"context"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/onednn"
	"libdsl/lib/ir"
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// step is a training step with its loss, as the trainer does it: forward, project, margin loss, back to dL/de, backward and Adam.
type step struct {
	prog     backend.Program
	set      *learner.Set
	loss     *loss.Margin
	labels   []int64
	args     ir.Args
	z, dz    []float32
	learners int
}

func (s *step) run() error {
	s.args.Step++
	s.args.DropoutKey = rng.DropoutKey(1, uint64(s.args.Step))
	if err := s.prog.Forward(context.Background(), &s.args); err != nil {
		return err
	}
	e, err := s.prog.Output(model.OutEmbedding)
	if err != nil {
		return err
	}
	k := int(s.args.Step) % s.learners
	width := len(s.set.Subspace(k))
	z, dz := s.z[:len(s.labels)*width], s.dz[:len(s.labels)*width]
	if err := s.set.Project(e, k, z); err != nil {
		return err
	}
	if _, _, err := s.loss.Compute(z, width, s.labels, dz); err != nil {
		return err
	}
	seed, err := s.prog.InputF32(model.InSeed)
	if err != nil {
		return err
	}
	if err := s.set.Backward(e, dz, k, seed); err != nil {
		return err
	}
	rows, err := s.prog.Input(model.InRows)
	if err != nil {
		return err
	}
	clear(rows)
	for _, n := range s.set.Subspace(k) {
		rows[n] = 1
	}
	return s.prog.Backward(context.Background(), &s.args)
}

func newStep(t *testing.T, mode model.Mode) *step {
	t.Helper()
	const batch, size = 16, 32
	arch := model.Arch{Backbone: "resnet18", Stem: "small", Attention: "gate", EmbeddingDim: 32}
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tensors, err := model.Tensors(arch, true)
	fatal(err)
	be := onednn.Backend{}
	store, err := be.NewStore(tensors)
	fatal(err)
	set, err := learner.New(arch.EmbeddingDim, 3)
	fatal(err)
	weights, err := model.Init(arch, set.Subspaces(), 1)
	fatal(err)
	fatal(weights.WriteTo(store))
	r, err := model.NewRunner(arch, be, store, backend.Options{Threads: 1}, false)
	fatal(err)
	t.Cleanup(func() { r.Close(); store.Close() })
	prog, err := r.Program(mode, batch, size, size)
	fatal(err)
	pixels, err := prog.Input(model.InPixels)
	fatal(err)
	noise := rng.New(1, "pixels")
	for i := range pixels {
		pixels[i] = byte(noise.Uint32())
	}
	s := &step{prog: prog, set: set, loss: loss.NewMargin(), learners: 3,
		args: ir.Args{LR: 1e-4, WeightDecay: 1e-4, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, BNMomentum: 0.1}}
	for i := range batch {
		s.labels = append(s.labels, int64(i/4))
	}
	s.z, s.dz = make([]float32, batch*arch.EmbeddingDim), make([]float32, batch*arch.EmbeddingDim)
	return s
}

func TestATrainingStepWithItsLossAllocatesNothing(t *testing.T) {
	for name, mode := range map[string]model.Mode{"frozen BatchNorm": model.Train, "batch statistics": model.TrainBatch} {
		s := newStep(t, mode)
		var failed error
		run := func() {
			if err := s.run(); err != nil {
				failed = err
			}
		}
		for range 6 { // the loss's buffers grow to their size
			run()
		}
		if n := testing.AllocsPerRun(10, run); n != 0 || failed != nil {
			t.Errorf("%s: got %v allocations per step (error %v), want 0", name, n, failed)
		}
	}
}
