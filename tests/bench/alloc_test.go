// Package bench holds the benchmarks against PyTorch (run.sh) and what a training step allocates.
package bench

import (
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/onednn"
	"libdsl/lib/learner"
	"libdsl/lib/model"
	"libdsl/lib/rng"
	"libdsl/tests/internal/network"
)

func newLearning(t *testing.T, mode model.Mode) *network.Learning {
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
	labels := make([]int64, batch)
	for i := range labels {
		labels[i] = int64(i / 4)
	}
	return network.NewLearning(prog, set, labels, network.Adam(0, 1e-4, 1e-4))
}

func TestATrainingStepWithItsLossAllocatesNothing(t *testing.T) {
	for name, mode := range map[string]model.Mode{"frozen BatchNorm": model.Train, "batch statistics": model.TrainBatch} {
		l := newLearning(t, mode)
		var failed error
		run := func() {
			if err := l.Step(); err != nil {
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
