// Package learner divides the neurons of an embedding among learners.
//
// A learner owns a subspace: a sorted list of neuron indices. The subspaces partition the neurons, and a neuron keeps
// its place for ever; only its owner changes, when a learner grows out of another. The last learner is the newest.
// The package works on the host, on rows [B, D] of the embedding layer's output e; it knows no loss and no network.
package learner

import (
	"slices"

	"libdsl/lib/errs"
)

// B batch, D embedding dimension, K learners, N_k the subspace of learner k.

// Set is a partition of the neurons 0..D-1 into learners 0..K-1.
type Set struct {
	dim       int
	subspaces [][]int
}

// New returns k learners over dim neurons, in ranges whose sizes differ by at most one.
// Errors: errs.Invalid unless 1 ≤ k ≤ dim.
func New(dim, k int) (*Set, error) {
	if k < 1 || k > dim {
		return nil, errs.New(errs.Invalid, "learner: number of learners: got %d for %d neurons, want 1 to %d", k, dim, dim)
	}
	s := &Set{dim: dim, subspaces: make([][]int, k)}
	for i := range k {
		for n := i * dim / k; n < (i+1)*dim/k; n++ {
			s.subspaces[i] = append(s.subspaces[i], n)
		}
	}
	return s, nil
}

// FromSubspaces returns the set with copies of the given subspaces, as a model file or checkpoint holds them.
// Errors: errs.Invalid unless they are sorted, not empty, and partition 0..dim-1.
func FromSubspaces(dim int, subspaces [][]int) (*Set, error) {
	if err := Validate(dim, subspaces); err != nil {
		return nil, err
	}
	return &Set{dim: dim, subspaces: clone(subspaces)}, nil
}

// Validate reports whether subspaces are sorted, not empty, and partition the neurons 0..dim-1.
func Validate(dim int, subspaces [][]int) error {
	if dim < 1 || len(subspaces) < 1 || len(subspaces) > dim {
		return errs.New(errs.Invalid, "learner: got %d subspaces of %d neurons, want 1 to %d", len(subspaces), dim, dim)
	}
	owner := make([]int, dim) // the learner plus one
	total := 0
	for k, neurons := range subspaces {
		if len(neurons) == 0 {
			return errs.New(errs.Invalid, "learner: subspace %d: got no neuron, want one or more", k)
		}
		for i, n := range neurons {
			switch {
			case n < 0 || n >= dim:
				return errs.New(errs.Invalid, "learner: subspace %d: got neuron %d, want 0 to %d", k, n, dim-1)
			case owner[n] != 0:
				return errs.New(errs.Invalid, "learner: neuron %d: got subspaces %d and %d, want one owner", n, owner[n]-1, k)
			case i > 0 && n < neurons[i-1]:
				return errs.New(errs.Invalid, "learner: subspace %d: got neuron %d after %d, want them sorted", k, n, neurons[i-1])
			}
			owner[n] = k + 1
			total++
		}
	}
	if total != dim {
		return errs.New(errs.Invalid, "learner: neuron %d: got no subspace, want one owner", slices.Index(owner, 0))
	}
	return nil
}

// Dim is the number of neurons D.
func (s *Set) Dim() int { return s.dim }

// NumLearners is K.
func (s *Set) NumLearners() int { return len(s.subspaces) }

// Newest is the index of the newest learner, the one that may grow.
func (s *Set) Newest() int { return len(s.subspaces) - 1 }

// Subspace returns the sorted neurons of learner k, 0 ≤ k < NumLearners; the caller must not change them.
func (s *Set) Subspace(k int) []int { return s.subspaces[k] }

// Subspaces returns a copy of all subspaces, for checkpoints and model files.
func (s *Set) Subspaces() [][]int { return clone(s.subspaces) }

// Clone returns an independent copy.
func (s *Set) Clone() *Set { return &Set{dim: s.dim, subspaces: clone(s.subspaces)} }

func clone(subspaces [][]int) [][]int {
	out := make([][]int, len(subspaces))
	for k, neurons := range subspaces {
		out[k] = slices.Clone(neurons)
	}
	return out
}
