package train

import (
	"slices"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/loss"
	"libdsl/lib/model"
)

// restore puts the run where the checkpoint is. Errors: Invalid for other options or data, naming them; Corrupt.
func (t *Trainer) restore(c *Checkpoint) error {
	if err := t.identity.check(c); err != nil {
		return err
	}
	if err := t.fits(c); err != nil {
		return err
	}
	differences, err := t.differences(c)
	if err != nil {
		return err
	}
	t.setNumbers(c)
	if err := t.restoreNetwork(c); err != nil {
		return err
	}
	if err := t.restoreClusters(c); err != nil {
		return err
	}
	if err := t.restoreLoss(c); err != nil {
		return err
	}
	if resumed := t.o.Checkpoints.Resumed; resumed != nil {
		if err := resumed(differences); err != nil {
			return err
		}
	}
	t.tell.resumed(t, differences)
	if t.best.model != nil && t.best.onSave != nil { // its file may be lost, or be of a later step
		return t.best.onSave(true, t.best.model, t.best.score)
	}
	return nil
}

// fits checks the checkpoint against the plan of the run.
func (t *Trainer) fits(c *Checkpoint) error {
	n := &c.n
	learners := int64(c.network.Learners.NumLearners())
	begun := n.done - n.taken // steps before the epoch
	if n.done > t.sched.total || begun < 0 || n.adam > n.done {
		return corrupt("got %d steps, %d of the epoch and %d since Adam's state was new, want at most %d", n.done, n.taken, n.adam, t.sched.total)
	}
	arch, head, want := t.o.Arch, model.EmbeddingHead, 1+n.growths
	if t.o.Learners != Dynamic {
		want = int64(t.o.Learners)
	}
	switch {
	case t.sched.stage(begun) == Warmup:
		arch, head, want = t.warmupArch(), model.ClassificationHead, 1
	case t.o.Loss == Classification:
		head, want = model.ClassificationHead, 1
	}
	if c.network.Arch != arch || c.network.Head != head || learners != want || c.network.InputSize != t.o.InputSize {
		return corrupt("got a network of %v with a head for %s and %d learners, want %v, %s and %d", c.network.Arch, c.network.Head, learners, arch, head, want)
	}
	if c.best != nil && t.sched.stage(begun) == Warmup || !slices.Equal(c.network.ClassNames, t.data.classes) {
		return corrupt("got a best model in the warm-up, or other classes than the data's")
	}
	if n := len(c.assigned); n != 0 && n != len(t.data.train) {
		return corrupt("%s: got %d images, want %d", assignedName, n, len(t.data.train))
	}
	width := 0
	if n.scored > 0 {
		width = len(c.network.Learners.Subspace(c.network.Learners.Newest()))
	}
	if len(c.scores) != width {
		return corrupt("%s: got %d neurons, want %d", scoresName, len(c.scores), width)
	}
	return nil
}

func (t *Trainer) setNumbers(c *Checkpoint) {
	n := &c.n
	t.done, t.epoch = n.done, int(n.epoch)
	t.at = position{phase: phase(n.phase), taken: n.taken, drawn: c.samplers}
	t.frozen = c.frozen
	t.regrouping = t.at.phase == between
	t.data.number = uint64(n.done)
	g := &t.growth
	g.scores.Sum, g.scores.Count = append(g.scores.Sum[:0], c.scores...), n.scored
	g.improved, g.waited, g.since, g.count = n.improved, int(n.waited), n.since == 1, int(n.growths)
	validation := func(v [3]float64, step, epoch int64) Validation {
		return Validation{NMI: v[0], RecallAt1: v[1], MacroRecallAt1: v[2], Step: step, Epoch: int(epoch)}
	}
	t.best.last = validation(n.last, n.lastStep, n.lastEpoch)
	if t.best.model = c.best; c.best != nil {
		t.best.score = validation(n.best, n.bestStep, n.bestEpoch)
	}
	w := t.tell
	w.begun = time.Now().Add(-time.Duration(n.elapsed * float64(time.Second)))
	w.p.Learner, w.p.Loss = int(n.learner), n.loss
	w.p.NMI, w.p.RecallAt1, w.p.MacroRecallAt1 = n.told[0], n.told[1], n.told[2]
	t.args.LR = t.sched.rate(t.done - 1)
}

// restoreNetwork fills a store with the weights and Adam's state.
func (t *Trainer) restoreNetwork(c *Checkpoint) error {
	if err := t.openNetwork(c.network.Arch, c.network.Weights); err != nil {
		return err
	}
	t.adam = c.n.adam
	if t.warming = t.epochStage() == Warmup; !t.warming {
		t.set = c.network.Learners.Clone()
	}
	for _, s := range c.adam {
		var err error
		switch data := s.Data.(type) {
		case []float32:
			err = t.runner.Store.Write(s.Name, data)
		case []int32:
			err = t.runner.Store.WriteInts(s.Name, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// restoreClusters makes the clusters of the checkpoint's assignment, and draws from them what the epoch has drawn.
func (t *Trainer) restoreClusters(c *Checkpoint) error {
	u := clusters{whole: c.n.whole == 1, epoch: int(c.n.clustered), members: make([][]int, c.n.clusters)}
	for _, k := range c.assigned {
		u.assigned = append(u.assigned, int(k))
	}
	if u.whole {
		u.members = [][]int{t.data.train}
	} else {
		for i, k := range u.assigned {
			if k >= len(u.members) {
				return corrupt("%s: image %d: got cluster %d of %d", assignedName, i, k, len(u.members))
			}
		}
		t.fillMembers(&u)
	}
	var err error
	if u.samplers, err = t.samplersOf(u.members); err != nil {
		return err
	}
	for k, s := range u.samplers {
		if (s == nil) != (k >= len(c.samplers) || c.samplers[k] == nil) {
			return corrupt("cluster %d: got a sampler without images to draw from, or none where there are some", k)
		}
		if s == nil {
			continue
		}
		if err := s.UnmarshalBinary(c.samplers[k]); err != nil {
			return err
		}
		u.usable = append(u.usable, k)
	}
	if len(u.usable) == 0 || len(u.members) != len(c.samplers) {
		return corrupt("got %d clusters to train on, want one or more", len(u.usable))
	}
	t.current = u
	return t.redraw()
}

// restoreLoss hands the loss what it carried.
func (t *Trainer) restoreLoss(c *Checkpoint) error {
	s, ok := t.loss.(loss.Stateful)
	if !ok && len(c.loss) > 0 {
		return corrupt("got a state of the loss, which has none")
	}
	if !ok {
		return nil
	}
	if err := s.Restore(c.loss); err != nil {
		return errs.Wrap(errs.Corrupt, err, "train: checkpoint")
	}
	return nil
}

// redraw leaves the samplers as the epoch's batches so far left them.
func (t *Trainer) redraw() error {
	if n, at := t.epochSteps(), t.at; at.taken > n || at.taken < n && at.phase == validated {
		return corrupt("got %d steps of an epoch of %d", at.taken, n)
	}
	next := t.current.turns(0)
	for range t.at.taken {
		next()
	}
	return nil
}
