package model

import (
	"context"
	"math"
	"sync"

	"libdsl/lib/backbone"
	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/learner"
)

// Heads: what the last layer's outputs are.
const (
	EmbeddingHead      = "embedding"      // the embedding e, D numbers
	ClassificationHead = "classification" // class scores; users embed with the unit penultimate vector v/‖v‖, C numbers
)

// Model is a trained network, immutable: its sessions share the weights.
type Model struct {
	Arch       Arch
	Head       string
	InputSize  int // pixels of a side that it was trained with
	ClassNames []string
	Learners   *learner.Set // of the head's outputs; one learner for class scores
	Weights    Weights
	Ranges     Ranges // nil unless they were measured; precision int8 needs them

	mu     sync.Mutex
	stores map[backend.Backend]backend.Store
}

// Check tests the whole model: architecture, weights, learners. Errors: Corrupt or Invalid, naming what is wrong.
func (m *Model) Check() error {
	if err := m.Arch.Check(); err != nil {
		return err
	}
	if m.InputSize < 8 || m.InputSize > 4096 {
		return errs.New(errs.Corrupt, "model: input_size: got %d, want 8 to 4096", m.InputSize)
	}
	if m.Learners == nil || m.Learners.Dim() != m.Arch.EmbeddingDim {
		return errs.New(errs.Corrupt, "model: the learners do not partition the %d embedding neurons", m.Arch.EmbeddingDim)
	}
	switch m.Head {
	case EmbeddingHead:
	case ClassificationHead:
		if m.Learners.NumLearners() != 1 || len(m.ClassNames) != m.Arch.EmbeddingDim {
			return errs.New(errs.Corrupt, "model: classification head: got %d learners and %d class names for %d outputs, want one learner and a name for each output",
				m.Learners.NumLearners(), len(m.ClassNames), m.Arch.EmbeddingDim)
		}
	default:
		return errs.New(errs.Corrupt, "model: head: got %q, want %q or %q", m.Head, EmbeddingHead, ClassificationHead)
	}
	if m.Ranges != nil {
		if err := m.Ranges.Check(m.Arch); err != nil {
			return err
		}
	}
	return m.Weights.Check(m.Arch)
}

// EmbeddingDim is the width of the embedding that users get: D, or C for a classification network.
func (m *Model) EmbeddingDim() int {
	if m.Head == ClassificationHead {
		return backbone.Channels(m.Arch.Backbone)
	}
	return m.Arch.EmbeddingDim
}

// store returns the model's weights in a backend's memory, written there once.
func (m *Model) store(be backend.Backend) (backend.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.stores[be]; s != nil {
		return s, nil
	}
	tensors, err := Tensors(m.Arch, false)
	if err != nil {
		return nil, err
	}
	s, err := be.NewStore(tensors)
	if err != nil {
		return nil, err
	}
	if err := m.Weights.WriteTo(s); err != nil {
		s.Close()
		return nil, err
	}
	if m.stores == nil {
		m.stores = map[backend.Backend]backend.Store{}
	}
	m.stores[be] = s
	return s, nil
}

// Close frees what the backends hold, after all sessions are closed.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first error
	for _, s := range m.stores {
		if err := s.Close(); err != nil && first == nil {
			first = err
		}
	}
	m.stores = nil
	return first
}

// Session computes with a model on an executor of its own. One goroutine uses it at a time.
type Session struct {
	Model  *Model
	runner *Runner
}

// NewSession starts an executor; see NewRunner for invariant. Errors: Invalid when the backend needs ranges that the model does not have.
func (m *Model) NewSession(be backend.Backend, o backend.Options, invariant bool) (*Session, error) {
	if be.PlanOptions().Int8 && m.Ranges == nil {
		return nil, errs.New(errs.Invalid, "model: precision \"int8\": the model has not been calibrated; do that once with pictures of its kind (calibrate)")
	}
	s, err := m.store(be)
	if err != nil {
		return nil, err
	}
	r, err := NewRunner(m.Arch, be, s, o, invariant)
	if err != nil {
		return nil, err
	}
	r.Ranges = m.Ranges
	return &Session{m, r}, nil
}

// Close ends the executor.
func (s *Session) Close() error { return s.runner.Close() }

// Embed writes the embeddings of n images of InputSize×InputSize pixels to out [n,EmbeddingDim]: unit rows, each learner's part of length 1/√K. fill
// writes the pixels of images first..first+count-1, [count,H,W,3]. Errors: Invalid for out, those of fill, Cancelled, Device.
func (s *Session) Embed(ctx context.Context, n int, fill func(first, count int, pixels []byte) error, out []float32) error {
	d := s.Model.EmbeddingDim()
	if len(out) != n*d {
		return errs.New(errs.Invalid, "model: embed: got room for %d numbers, want [%d, %d]", len(out), n, d)
	}
	size := s.Model.InputSize
	return s.runner.Run(ctx, Embed, n, size, size, fill, func(r *Result) error {
		part := out[r.First*d : (r.First+r.Count)*d]
		if s.Model.Head == ClassificationHead {
			copy(part, r.Penultimate)
			UnitRows(part, d)
			return nil
		}
		return s.Model.Learners.Embed(r.Embedding, part)
	})
}

// Attention computes the attention map of one image into grid [H',W'] (see Grid), values in [0, 1]. Errors: Unsupported for a
// network without attention, Invalid for the image or the size of grid.
func (s *Session) Attention(ctx context.Context, p Picture, grid []float32) error {
	if s.Model.Arch.Attention != Gate {
		return errs.New(errs.Unsupported, "model: heatmap: this network was trained without attention")
	}
	if err := s.checkGrid(p, grid); err != nil {
		return err
	}
	return s.runner.Run(ctx, Embed, 1, p.Height, p.Width, copyPixels(p.Pixels), func(r *Result) error {
		copy(grid, r.Attention)
		return nil
	})
}

// checkGrid checks an image and the room for its map.
func (s *Session) checkGrid(p Picture, grid []float32) error {
	if err := p.check(); err != nil {
		return err
	}
	if gh, gw := Grid(s.Model.Arch.Stem, p.Height, p.Width); len(grid) != gh*gw {
		return errs.New(errs.Invalid, "model: heatmap: got room for %d numbers, want [%d, %d]", len(grid), gh, gw)
	}
	return nil
}

// UnitRows scales rows to length 1; zero rows stay.
func UnitRows(x []float32, dim int) {
	for at := 0; at < len(x); at += dim {
		sum := 0.0
		for _, v := range x[at : at+dim] {
			sum += float64(v) * float64(v)
		}
		if sum == 0 {
			continue
		}
		for i := range dim {
			x[at+i] = float32(float64(x[at+i]) / math.Sqrt(sum))
		}
	}
}

func copyPixels(src []byte) func(int, int, []byte) error {
	return func(_, _ int, dst []byte) error {
		copy(dst, src)
		return nil
	}
}
