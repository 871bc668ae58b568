package train

import (
	"context"
	"math"

	"libdsl/lib/backend"
	"libdsl/lib/eval"
	"libdsl/lib/learner"
	"libdsl/lib/metric"
	"libdsl/lib/model"
)

// Validation is what a model scored on the validation split; RecallAt1 is the average over queries, MacroRecallAt1 over classes. The
// scores are NaN for a model that was not validated: the last one of a cancelled run.
type Validation struct {
	NMI, RecallAt1, MacroRecallAt1 float64
	Step                           int64
	Epoch                          int
}

// best keeps the model with the highest validation NMI.
type best struct {
	score    Validation
	model    *model.Model
	last     Validation    // of the embedding network; the zero value before its first
	fallback model.Weights // an embedding network while a classification network trains
	onSave   func(best bool, m *model.Model, v Validation) error
}

// validate scores the network on the validation split. A classification network embeds with the unit penultimate vector; that of the warm-up is never
// the best model.
func (t *Trainer) validate(ctx context.Context, stage Stage) error {
	space := EmbeddingSpace
	if stage == Warmup || t.o.Loss == Classification {
		space = PenultimateSpace
	}
	x, dim, err := t.embed(ctx, t.data.val, space)
	if err != nil {
		return err
	}
	labels := make([]int64, len(t.data.val))
	for i, image := range t.data.val {
		labels[i] = t.data.label(image)
	}
	r, err := eval.Score(ctx, x, dim, labels, nil, metric.Options{Threads: t.o.Threads, Device: backend.Arrays(t.backend, eval.Work(x, labels))})
	if err != nil {
		return err
	}
	v := Validation{NMI: r.NMI, RecallAt1: r.SelfExcluded.Micro.RecallAtK[0], MacroRecallAt1: r.SelfExcluded.Macro.RecallAtK[0], Step: t.done, Epoch: t.epoch}
	better := stage != Warmup && v.NMI > t.best.score.NMI
	if stage == Learn {
		t.growth.observe(v.NMI)
	}
	told := t.tell.validated(t, stage, v, better)
	t.at.phase = validated
	if stage != Warmup {
		if err := t.keep(v, better); err != nil { // also when the listener cancelled: it was told of this model
			return err
		}
	}
	if told != nil {
		return told
	}
	return t.keepWhenDue()
}

// keep hands the network to onSave, and remembers it when it is the best so far.
func (t *Trainer) keep(v Validation, better bool) error {
	m, err := t.snapshot()
	if err != nil {
		return err
	}
	t.best.last = v
	if better {
		t.best.score, t.best.model = v, m
	}
	if t.best.onSave == nil {
		return nil
	}
	if better {
		if err := t.best.onSave(true, m, v); err != nil {
			return err
		}
	}
	return t.best.onSave(false, m, v)
}

// snapshot is the embedding network as it is now.
func (t *Trainer) snapshot() (*model.Model, error) {
	var w model.Weights
	var err error
	if t.best.fallback != nil && t.warming {
		w = t.best.fallback
	} else if w, err = t.weights(); err != nil {
		return nil, err
	}
	set, err := learner.FromSubspaces(t.o.Arch.EmbeddingDim, t.set.Subspaces())
	if err != nil {
		return nil, err
	}
	head := model.EmbeddingHead
	if t.o.Loss == Classification {
		head = model.ClassificationHead
	}
	return &model.Model{Arch: t.o.Arch, Head: head, InputSize: t.o.InputSize, ClassNames: t.data.classes, Learners: set, Weights: w}, nil
}

// lastScore is the validation of the network as it is now.
func (t *Trainer) lastScore() Validation {
	if v := t.best.last; v.Epoch > 0 && v.Step == t.done {
		return v
	}
	nan := math.NaN()
	return Validation{NMI: nan, RecallAt1: nan, MacroRecallAt1: nan, Step: t.done, Epoch: t.epoch}
}

// finish makes the result, also of a cancelled run. An error of onSave comes with the result.
func (t *Trainer) finish() (*Result, error) {
	res := &Result{Best: t.best.model, BestScore: t.best.score, LastScore: t.lastScore(), Steps: t.done, Growths: t.growth.count,
		WaitedS: t.data.loader.Waited().Seconds()}
	if t.runner == nil {
		return res, nil
	}
	m, err := t.snapshot()
	if err != nil {
		return nil, err
	}
	res.Last = m
	if res.Best == nil {
		res.Best, res.BestScore = m, res.LastScore
	}
	if t.best.onSave != nil {
		if res.Best == m {
			if err := t.best.onSave(true, m, res.LastScore); err != nil {
				return res, err
			}
		}
		if err := t.best.onSave(false, m, res.LastScore); err != nil {
			return res, err
		}
	}
	t.tell.done(t)
	return res, nil
}
