package train

import (
	"slices"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/internal/par"
	"libdsl/lib/ir"
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// keeper decides when a checkpoint is worth its cost.
type keeper struct {
	last time.Time     // when the last one was kept, or the run began
	cost time.Duration // of it
}

// keepShare bounds what checkpoints at validations cost: a twentieth of the time.
const keepShare = 20

// keepWhenDue keeps a checkpoint, if it is time for one. The last validation always comes with one.
func (t *Trainer) keepWhenDue() error {
	c := &t.o.Checkpoints
	if c.Save == nil {
		return nil
	}
	every := c.Every
	if every == 0 {
		every = DefaultCheckpointEvery
	}
	if t.at.phase == validated {
		every = min(every, keepShare*t.kept.cost)
		if t.done >= t.sched.total {
			every = 0
		}
	}
	if time.Since(t.kept.last) < every {
		return nil
	}
	return t.keepNow()
}

func (t *Trainer) keepNow() error {
	begun := time.Now()
	c, err := t.capture()
	if err != nil {
		return err
	}
	if err := t.o.Checkpoints.Save(c); err != nil {
		return err
	}
	t.kept.last = time.Now()
	t.kept.cost = t.kept.last.Sub(begun)
	return nil
}

// keepStopped keeps a cancelled run as of the last whole step, if there was one. What was cancelled after it (a clustering, a growth, a validation) has
// left nothing behind and is done again by the run that goes on.
func (t *Trainer) keepStopped() error {
	if t.o.Checkpoints.Save == nil || t.runner == nil || t.done == 0 {
		return nil
	}
	return t.keepNow()
}

// capture makes a checkpoint of the run as it is now.
func (t *Trainer) capture() (*Checkpoint, error) {
	w, err := t.weights()
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{score: t.lastScore(), frozen: t.frozen, best: t.best.model, samplers: t.at.drawn, options: t.identity.options, data: t.identity.data,
		version: t.o.Checkpoints.Version, device: t.backend.Device(), environment: t.backend.Environment()}
	c.network = &model.Model{Arch: t.runner.Arch, Head: model.EmbeddingHead, InputSize: t.o.InputSize, ClassNames: t.data.classes, Learners: t.set.Clone(), Weights: w}
	if t.warming || t.o.Loss == Classification {
		c.network.Head = model.ClassificationHead
		if c.network.Learners, err = learner.New(t.runner.Arch.EmbeddingDim, 1); err != nil {
			return nil, err
		}
	}
	if err := t.captureAdam(c); err != nil {
		return nil, err
	}
	for _, k := range t.current.assigned {
		c.assigned = append(c.assigned, int32(k))
	}
	if s, ok := t.loss.(loss.Stateful); ok {
		c.loss = s.State()
	}
	c.n = t.numbers()
	if t.at.phase != between { // else they are of a learner that may have grown
		c.scores, c.n.scored = slices.Clone(t.growth.scores.Sum), t.growth.scores.Count
	}
	if chooser, ok := t.backend.(backend.Chooser); ok {
		c.choices, err = chooser.Choices()
	}
	return c, err
}

func (t *Trainer) captureAdam(c *Checkpoint) error {
	for _, s := range t.states {
		var err error
		out := modelfile.Tensor{Name: s.Name, Shape: fileShape(s.Shape)}
		if s.DType == ir.I32 {
			v := make([]int32, s.Shape.Count())
			out.Data, err = v, t.runner.Store.ReadInts(s.Name, v)
		} else {
			v := make([]float32, s.Shape.Count())
			out.Data, err = v, t.runner.Store.Read(s.Name, v)
		}
		if err != nil {
			return err
		}
		c.adam = append(c.adam, out)
	}
	return nil
}

func (t *Trainer) numbers() numbers {
	g, p := &t.growth, &t.tell.p
	scores := func(v Validation) [3]float64 { return [3]float64{v.NMI, v.RecallAt1, v.MacroRecallAt1} }
	n := numbers{
		done: t.done, adam: t.adam, epoch: int64(t.epoch), phase: int64(t.at.phase), taken: t.at.taken,
		clusters: int64(t.current.numClusters()), whole: flag(t.current.whole), clustered: int64(t.current.epoch),
		waited: int64(g.waited), since: flag(g.since), growths: int64(g.count), improved: g.improved,
		last: scores(t.best.last), lastStep: t.best.last.Step, lastEpoch: int64(t.best.last.Epoch),
		learner: int64(p.Learner), threads: int64(par.Threads(t.o.Threads)), loss: p.Loss,
		told: [3]float64{p.NMI, p.RecallAt1, p.MacroRecallAt1}, elapsed: time.Since(t.tell.begun).Seconds(),
	}
	if t.best.model != nil {
		v := t.best.score
		n.hasBest, n.best, n.bestStep, n.bestEpoch = 1, scores(v), v.Step, int64(v.Epoch)
	}
	return n
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
