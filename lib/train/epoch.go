package train

import (
	"context"

	"libdsl/lib/backend"
)

// phase is where in an epoch a run stands.
type phase int64

const (
	between   phase = iota // epochs
	training               // its batches
	validated              // and not grown yet
)

// position is where a run stands within its epoch.
type position struct {
	phase phase
	taken int64    // batches of the epoch that were trained on
	drawn [][]byte // the states of the clusters' samplers when the epoch began, for checkpoints
}

// beginEpoch counts the epoch and arranges its clusters. When that fails the run still stands before it.
func (t *Trainer) beginEpoch(arrange func(Stage) error) error {
	t.epoch++
	if err := arrange(t.sched.stage(t.done)); err != nil {
		t.epoch--
		return err
	}
	return t.stand(position{phase: training})
}

// stand puts the run before the first batch that the clusters give.
func (t *Trainer) stand(at position) (err error) {
	t.at = at
	if t.o.Checkpoints.Save != nil {
		t.at.drawn, err = t.current.samplerStates()
	}
	return err
}

// epochStage is the stage of the epoch in which the run stands: no epoch has steps of two.
func (t *Trainer) epochStage() Stage { return t.sched.stage(t.done - t.at.taken) }

// epochSteps is how many steps that epoch has: max_k ⌊N_k/B⌋ rounds of one batch from each cluster. The budget may end it early, and so does the
// step where another stage begins.
func (t *Trainer) epochSteps() int64 {
	rounds := 1
	for _, k := range t.current.usable {
		rounds = max(rounds, len(t.current.members[k])/t.o.BatchSize)
	}
	return min(int64(rounds*len(t.current.usable)), t.sched.left(t.done-t.at.taken))
}

// trainEpoch runs what is left of the epoch's steps. The program is asked for anew in each epoch: where memory is short, validation takes its place.
func (t *Trainer) trainEpoch(ctx context.Context, stage Stage, step func(backend.Program, *batch) (float64, error)) error {
	prog, err := t.program()
	if err != nil {
		return err
	}
	n := t.epochSteps()
	t.data.begin(n-t.at.taken, t.current.turns(t.at.taken))
	for t.at.taken < n {
		b, err := t.data.next(ctx)
		if err != nil {
			return err
		}
		value, err := step(prog, b)
		k := b.cluster
		t.data.release(b)
		if err != nil {
			return err
		}
		t.at.taken++
		if err := t.tell.step(t, stage, k, value); err != nil {
			return err
		}
		if err := t.keepWhenDue(); err != nil {
			return err
		}
	}
	return nil
}

// turns draws a batch from each usable cluster in turn, after so many turns.
func (c *clusters) turns(taken int64) func() (cluster int, indices []int) {
	return func() (int, []int) {
		k := c.usable[taken%int64(len(c.usable))]
		taken++
		return k, c.samplers[k].next()
	}
}
