package network

import (
	"context"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/ir"
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// Learning makes training steps with their loss, as the trainer does: forward, project, margin loss, back to dL/de, backward and Adam. The
// learners take turns.
type Learning struct {
	Host time.Duration // spent on the loss between forward and backward, by all steps

	program backend.Program
	set     *learner.Set
	labels  []int64
	loss    *loss.Margin
	args    *ir.Args
	z, dz   []float32
}

// NewLearning prepares steps of a training program whose batch has these labels; its pixels are there already.
func NewLearning(p backend.Program, set *learner.Set, labels []int64, args *ir.Args) *Learning {
	n := len(labels) * set.Dim()
	return &Learning{program: p, set: set, labels: labels, loss: loss.NewMargin(), args: args, z: make([]float32, n), dz: make([]float32, n)}
}

// Step runs one step.
func (l *Learning) Step() error {
	l.args.Step++
	l.args.DropoutKey = rng.DropoutKey(1, uint64(l.args.Step))
	if err := l.program.Forward(context.Background(), l.args); err != nil {
		return err
	}
	start := time.Now()
	if err := l.learn(int(l.args.Step) % l.set.NumLearners()); err != nil {
		return err
	}
	l.Host += time.Since(start)
	return l.program.Backward(context.Background(), l.args)
}

// learn writes learner k's dL/de and its neurons into the program's inputs.
func (l *Learning) learn(k int) error {
	e, err := l.program.Output(model.OutEmbedding)
	if err != nil {
		return err
	}
	width := len(l.set.Subspace(k))
	z, dz := l.z[:len(l.labels)*width], l.dz[:len(l.labels)*width]
	if err := l.set.Project(e, k, z); err != nil {
		return err
	}
	if _, _, err := l.loss.Compute(z, width, l.labels, dz); err != nil {
		return err
	}
	seed, err := l.program.InputF32(model.InSeed)
	if err != nil {
		return err
	}
	if err := l.set.Backward(e, dz, k, seed); err != nil {
		return err
	}
	rows, err := l.program.Input(model.InRows)
	if err != nil {
		return err
	}
	clear(rows)
	for _, n := range l.set.Subspace(k) {
		rows[n] = 1
	}
	return nil
}
