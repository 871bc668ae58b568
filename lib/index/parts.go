package index

import (
	"errors"
	"sync"

	"libdsl/lib/backend"
)

// part is what a search compares: unit rows of the whole embedding or of a learner.
type part struct {
	rows     []float32 // [n, dim]
	n, dim   int
	onDevice map[backend.ArrayBackend]backend.Array
}

// parts are the learners' parts of a gallery that were needed so far.
type parts struct {
	mu        sync.Mutex
	byLearner map[int]*part
}

// forget is for when the rows change. The caller holds the index alone.
func (p *parts) forget() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, made := range p.byLearner {
		for _, a := range made.onDevice {
			err = errors.Join(err, a.Close())
		}
	}
	p.byLearner = nil
	return err
}

// on is a device's copy of a part, made once. The caller holds the index.
func (p *parts) on(b backend.ArrayBackend, of *part) (backend.Array, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made := of.onDevice[b]; made != nil {
		return made, nil
	}
	made, err := b.NewArray(of.rows, of.dim)
	if err != nil {
		return nil, err
	}
	if of.onDevice == nil {
		of.onDevice = map[backend.ArrayBackend]backend.Array{}
	}
	of.onDevice[b] = made
	return made, nil
}

// of makes a part once. The caller holds the index.
func (p *parts) of(x *Index, learner int) (*part, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made := p.byLearner[learner]; made != nil {
		return made, nil
	}
	made := &part{rows: x.rows, n: len(x.labels), dim: x.opt.Dim}
	if learner != AllLearners {
		made.dim = len(x.opt.Learners.Subspace(learner))
		var err error
		if made.rows, err = x.project(x.rows, learner); err != nil {
			return nil, err
		}
	}
	if p.byLearner == nil {
		p.byLearner = map[int]*part{}
	}
	p.byLearner[learner] = made
	return made, nil
}
