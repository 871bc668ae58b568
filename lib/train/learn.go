package train

import (
	"context"

	"libdsl/lib/backend"
)

// learn trains the learners, each on batches of its own cluster, and then the whole embedding, until the budget is spent.
func (t *Trainer) learn(ctx context.Context) error {
	if t.adam == 0 && t.at.phase != training {
		if err := t.beginLearning(ctx); err != nil {
			return err
		}
	}
	for t.at.phase != between || t.done < t.sched.total {
		if err := t.learnEpoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// beginLearning leaves the network and its clusters as the first epoch of the learners finds them.
func (t *Trainer) beginLearning(ctx context.Context) (err error) {
	if t.set.NumLearners() > 1 {
		if err := t.freeze(ctx); err != nil {
			return err
		}
	}
	if t.current, err = t.wholeCluster(); err != nil {
		return err
	}
	return t.stand(position{phase: between})
}

// learnEpoch goes on from wherever the epoch stands: a resumed run may stand in its middle, or between its validation and a growth.
func (t *Trainer) learnEpoch(ctx context.Context) error {
	if t.at.phase == between {
		if err := t.beginEpoch(func(stage Stage) error { return t.arrange(ctx, stage) }); err != nil {
			return err
		}
		t.growth.scores.Reset()
	}
	stage := t.epochStage()
	if t.at.phase == training {
		step := func(prog backend.Program, b *batch) (float64, error) { return t.learnerStep(ctx, prog, b, stage) }
		if err := t.trainEpoch(ctx, stage, step); err != nil {
			return err
		}
		if err := t.validate(ctx, stage); err != nil {
			return err
		}
	}
	if err := t.maybeGrow(ctx, stage); err != nil {
		return err
	}
	t.at.phase = between
	return nil
}

// arrange decides on the clusters of an epoch: all images in one for a single learner and in fine-tuning, else K-means when it is due.
func (t *Trainer) arrange(ctx context.Context, stage Stage) error {
	single := t.set.NumLearners() == 1 || stage == Finetune
	switch {
	case single && t.current.whole:
		return nil
	case single:
		c, err := t.wholeCluster()
		t.current = c
		return err
	case t.current.whole || t.epoch-t.current.epoch >= t.o.ReclusterEvery || t.current.numClusters() != t.set.NumLearners():
		return t.recluster(ctx)
	}
	return nil
}

// learnerStep trains learner b.cluster on its batch, or all of them together in fine-tuning.
func (t *Trainer) learnerStep(ctx context.Context, prog backend.Program, b *batch, stage Stage) (float64, error) {
	t.active = b.cluster
	if stage == Finetune || t.current.whole {
		t.active = whole
	}
	clear(t.rows)
	for k := range t.set.NumLearners() {
		if t.active == whole || t.active == k {
			for _, d := range t.set.Subspace(k) {
				t.rows[d] = 1
			}
		}
	}
	value, err := t.step(ctx, prog, b, t.learnerGradient)
	if err == nil {
		t.learnt.update(t.args.LR)
	}
	return value, err
}

// whole as the active learner stands for the concatenation of all.
const whole = -1

// gradientOf computes the loss of the active learner's unit rows and carries its gradient back to e.
func (t *Trainer) gradientOf(e []float32, labels []int64, de []float32) (float64, error) {
	k, dim := t.active, t.o.Arch.EmbeddingDim
	if k != whole {
		dim = len(t.set.Subspace(k))
	}
	z, dz := t.host.z[:len(labels)*dim], t.host.dz[:len(labels)*dim]
	var err error
	if k == whole {
		err = t.set.Embed(e, z)
	} else {
		err = t.set.Project(e, k, z)
	}
	if err != nil {
		return 0, err
	}
	if err := t.learnt.choose(t.set, k); err != nil {
		return 0, err
	}
	value, _, err := t.loss.Compute(z, dim, labels, dz)
	if err != nil {
		return 0, err
	}
	if k == whole {
		err = t.set.EmbedBackward(e, dz, de)
	} else {
		err = t.set.Backward(e, dz, k, de)
	}
	if err != nil {
		return 0, err
	}
	if k == t.set.Newest() || t.set.NumLearners() == 1 { // K = 1: the whole is the newest learner
		err = t.growth.scores.Add(t.set, e, de)
	}
	return value, err
}
