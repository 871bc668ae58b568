package train

import (
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/rng"
)

// lossParameters are what the learners' loss learns by itself, on the host: nothing, a boundary, proxies.
type lossParameters struct {
	loss.Parametric                // nil when the loss learns nothing
	neurons         loss.PerNeuron // nil when nothing of it belongs to neurons
}

// openLoss makes the learners' loss. Errors: Invalid for choices that do not go together.
func (t *Trainer) openLoss() error {
	o := t.o.lossOptions()
	o.NumClasses, o.EmbeddingDim, o.Seed = len(t.data.classes), t.o.Arch.EmbeddingDim, t.o.Seed
	var err error
	if t.loss, err = loss.New(t.o.Loss, o); err != nil {
		return err
	}
	t.learnt.Parametric, _ = t.loss.(loss.Parametric)
	t.learnt.neurons, _ = t.loss.(loss.PerNeuron)
	return nil
}

// choose tells the loss whose rows come next: learner k's, or those of the whole embedding.
func (p *lossParameters) choose(set *learner.Set, k int) error {
	switch {
	case p.neurons == nil:
		return nil
	case k == whole:
		return p.neurons.Select(nil)
	}
	return p.neurons.Select(set.Subspace(k))
}

// update does one step of the parameters with the gradients of the last batch, whose step of the network is done. rate is the network's.
func (p *lossParameters) update(rate float64) {
	if p.Parametric != nil {
		p.Update(rate)
	}
}

// reset draws what belongs to these neurons anew, as a growth does with their rows.
func (p *lossParameters) reset(neurons []int, r *rng.Stream) error {
	if p.neurons == nil {
		return nil
	}
	return p.neurons.Reset(neurons, r)
}
