package train

import (
	"context"
	"fmt"

	"libdsl/lib/learner"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// growth watches the validation NMI for a plateau and gathers the newest learner's scores over an epoch.
type growth struct {
	scores   learner.Scores
	before   learner.Scores // those before the step under way, which may be cancelled
	improved float64        // best validation NMI since the learners began to train
	waited   int            // validations since then
	since    bool           // NMI has improved since the last growth
	count    int
}

// observe takes a validation into account.
func (g *growth) observe(nmi float64) {
	if nmi > g.improved {
		g.improved, g.waited, g.since = nmi, 0, true
		return
	}
	g.waited++
}

// maybeGrow splits the newest learner when validation NMI has not improved for `patience` validations, fine-tuning is not near, and it has
// improved since the last growth: neurons with a score above 0.5 become a finished learner, the others start anew as the newest. A refused growth is
// tried again after each further validation.
func (t *Trainer) maybeGrow(ctx context.Context, stage Stage) error {
	g := &t.growth
	if t.o.Learners != Dynamic || stage != Learn || t.done >= t.sched.lastGrowth || g.waited < t.o.Patience || !g.since {
		return nil
	}
	scores := g.scores.Normalised()
	grown := t.set.Clone()
	reset, refusal := grown.Grow(scores)
	if reset == nil {
		t.tell.refused(t, scores, refusal)
		return nil
	}
	if err := t.freeze(ctx); err != nil { // before anything changes: it may be cancelled
		return err
	}
	t.set = grown
	g.waited, g.since = 0, false
	g.count++
	if err := t.resetRows(reset); err != nil {
		return err
	}
	if err := t.learnt.reset(reset, rng.New(t.o.Seed, fmt.Sprintf("grow/loss/%d", g.count))); err != nil {
		return err
	}
	t.tell.grew(t, scores, reset)
	return nil
}

// resetRows draws embedding rows anew and clears their Adam state, step counts included: otherwise the first update of a
// row would overshoot.
func (t *Trainer) resetRows(rows []int) error {
	w, err := t.weights()
	if err != nil {
		return err
	}
	model.InitRows(w, rows, rng.New(t.o.Seed, fmt.Sprintf("grow/%d", t.growth.count)))
	s := t.runner.Store
	for _, name := range []string{model.EmbeddingWeight, model.EmbeddingBias} {
		if err := s.Write(name, w[name]); err != nil {
			return err
		}
		for _, state := range []string{model.MomentName(name), model.VarianceName(name)} {
			v := make([]float32, len(w[name]))
			if err := s.Read(state, v); err != nil {
				return err
			}
			per := len(v) / t.o.Arch.EmbeddingDim
			for _, r := range rows {
				clear(v[r*per : (r+1)*per])
			}
			if err := s.Write(state, v); err != nil {
				return err
			}
		}
		counts := make([]int32, t.o.Arch.EmbeddingDim)
		if err := s.ReadInts(model.CountName(name), counts); err != nil {
			return err
		}
		for _, r := range rows {
			counts[r] = 0
		}
		if err := s.WriteInts(model.CountName(name), counts); err != nil {
			return err
		}
	}
	return nil
}

// freeze ends batch-statistics BatchNorm: batches come from one cluster each from here on, and evaluation knows one running mean only.
func (t *Trainer) freeze(ctx context.Context) error {
	if t.frozen {
		return nil
	}
	if err := t.calibrate(ctx); err != nil {
		return err
	}
	t.frozen = true
	return nil
}
