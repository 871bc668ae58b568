package train

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/ir"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// warmup trains the backbone and the attention as a classification network with batch-statistics BatchNorm. Then it replaces the head by
// the embedding of w and estimates the running statistics anew, which are frozen from there on. A cancelled warm-up leaves the same, so that
// the last model is always an embedding network.
func (t *Trainer) warmup(ctx context.Context, w model.Weights) (model.Weights, error) {
	if !t.warming {
		head := t.warmupArch()
		start := w.Clone()
		if err := t.headOf(start, head); err != nil {
			return nil, err
		}
		if err := t.openNetwork(head, start); err != nil {
			return nil, err
		}
		t.warming = true
	}
	trained := t.classify(ctx, Warmup)
	if trained == nil {
		trained = t.calibrate(ctx)
	}
	now, err := t.weights()
	if err != nil {
		return nil, err
	}
	now[model.EmbeddingWeight], now[model.EmbeddingBias] = w[model.EmbeddingWeight], w[model.EmbeddingBias]
	t.best.fallback = now
	return now, trained
}

// warmupArch is the network of the warm-up.
func (t *Trainer) warmupArch() model.Arch {
	head := t.o.Arch
	head.EmbeddingDim = len(t.data.classes)
	return head
}

// headOf replaces the embedding's weights by those of a classification head.
func (t *Trainer) headOf(w model.Weights, head model.Arch) error {
	c := len(w[model.EmbeddingWeight]) / len(w[model.EmbeddingBias])
	w[model.EmbeddingWeight] = make([]float32, head.EmbeddingDim*c)
	w[model.EmbeddingBias] = make([]float32, head.EmbeddingDim)
	rows := make([]int, head.EmbeddingDim)
	for i := range rows {
		rows[i] = i
	}
	model.InitRows(w, rows, rng.New(t.o.Seed, "init/head"))
	return nil
}

// classify trains the network's outputs as class scores until the stage ends.
func (t *Trainer) classify(ctx context.Context, stage Stage) error {
	for i := range t.rows {
		t.rows[i] = 1
	}
	classify := loss.NewClassification()
	g := func(e []float32, labels []int64, de []float32) (float64, error) {
		v, _, err := classify.Compute(e, t.runner.Arch.EmbeddingDim, labels, de)
		return v, err
	}
	if t.done == 0 {
		all := [][]int{t.data.train}
		s, err := t.data.sampler(all[0], rng.New(t.o.Seed, "sampler/warmup"))
		if err != nil {
			return err
		}
		t.current = clusters{whole: true, members: all, usable: []int{0}, samplers: []*sampler{s}}
	}
	step := func(prog backend.Program, b *batch) (float64, error) { return t.step(ctx, prog, b, g) }
	for t.at.phase == training || t.sched.stage(t.done) == stage {
		if t.at.phase != training {
			if err := t.beginEpoch(func(Stage) error { return nil }); err != nil {
				return err
			}
		}
		if err := t.trainEpoch(ctx, stage, step); err != nil {
			return err
		}
		if err := t.validate(ctx, stage); err != nil {
			return err
		}
	}
	return nil
}

// calibrate re-estimates the running statistics as the mean over batches of all training images, in a seeded order, in the evaluation transform.
func (t *Trainer) calibrate(ctx context.Context) error {
	size, batch := t.o.InputSize, t.o.BatchSize
	prog, err := t.runner.Program(model.Calibrate, batch, size, size)
	if err != nil {
		return err
	}
	pixels, err := prog.Input(model.InPixels)
	if err != nil {
		return err
	}
	order := append([]int(nil), t.data.train...)
	rng.New(t.o.Seed, "calibrate").Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for len(order) < batch {
		order = append(order, order...)
	}
	for i := 0; (i+1)*batch <= len(order); i++ {
		if err := t.data.evaluation(ctx, order[i*batch:(i+1)*batch], pixels); err != nil {
			return err
		}
		args := ir.Args{BNMomentum: 1 / float32(i+1)}
		if err := prog.Forward(ctx, &args); err != nil {
			return err
		}
		if err := prog.Backward(ctx, &args); err != nil {
			return err
		}
	}
	return nil
}
