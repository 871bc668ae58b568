package loss

import (
	"slices"

	"libdsl/lib/errs"
)

// Stateful is a loss that carries something from step to step: parameters, Adam's state, a count of random draws. A loss of the same name and
// options that restores the state of another goes on bit for bit as that one.
type Stateful interface {
	Loss
	// State returns copies of all of it, always the same names with the same lengths.
	State() []State
	// Restore takes over what State gave. Errors: errs.Invalid when a name, a length or a number does not fit; nothing is then changed.
	Restore(saved []State) error
}

// Undoer is a loss whose Compute counts something that is part of its state.
type Undoer interface {
	// Undo takes back what the last Compute has counted: that of a training step which was cancelled afterwards.
	Undo()
}

// State is one part of a loss's state. It holds either Floats or Counts.
type State struct {
	Name   string // such as "beta.value", "beta.steps", "mining.draws"
	Floats []float64
	Counts []int64 // 0 or more

	low float64 // least value of Floats
}

// cloneState copies the states and what they hold.
func cloneState(states []State) []State {
	out := slices.Clone(states)
	for i, s := range out {
		out[i].Floats, out[i].Counts = slices.Clone(s.Floats), slices.Clone(s.Counts)
	}
	return out
}

// restore checks saved against own and copies it there.
func restore(who string, own, saved []State) error {
	if len(saved) != len(own) {
		return errs.New(errs.Invalid, "%s: state: got %d parts, want %d", who, len(saved), len(own))
	}
	for i, s := range saved {
		if err := s.fits(who, own[i]); err != nil {
			return err
		}
	}
	for i, s := range saved {
		copy(own[i].Floats, s.Floats)
		copy(own[i].Counts, s.Counts)
	}
	return nil
}

// fits tests a saved state against the loss's own.
func (s State) fits(who string, own State) error {
	if s.Name != own.Name || len(s.Floats) != len(own.Floats) || len(s.Counts) != len(own.Counts) {
		return errs.New(errs.Invalid, "%s: state: got %q of %d numbers and %d counts, want %q of %d and %d", who,
			s.Name, len(s.Floats), len(s.Counts), own.Name, len(own.Floats), len(own.Counts))
	}
	for i, v := range s.Floats {
		if v-v != 0 || v < own.low { // NaN or an infinity
			return errs.New(errs.Invalid, "%s: state %q: number %d: got %v, want a finite one from %v on", who, s.Name, i, v, own.low)
		}
	}
	for i, n := range s.Counts {
		if n < 0 {
			return errs.New(errs.Invalid, "%s: state %q: count %d: got %d, want 0 or more", who, s.Name, i, n)
		}
	}
	return nil
}
