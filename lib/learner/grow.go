package learner

import (
	"fmt"
	"math"
	"slices"

	"libdsl/lib/errs"
)

// The limits of a growth: a learner with MinToGrow neurons or fewer does not grow, and no part gets fewer than MinPart.
const (
	MinToGrow = 10
	MinPart   = 5
)

// Scores accumulates how much each neuron of the newest learner matters to the loss: the mean over images of
// e_i·∂L/∂e_i (Molchanov et al., ICLR 2017). The fields are exported for checkpoints; the zero value is ready.
type Scores struct {
	Sum   []float64 // [|N_newest|], in the order of the subspace
	Count int64     // images added
}

// Reset forgets all images; the trainer calls it at the start of an epoch and after a growth.
func (a *Scores) Reset() { a.Sum, a.Count = a.Sum[:0], 0 }

// CopyTo makes b equal to a, in b's own memory.
func (a *Scores) CopyTo(b *Scores) { b.Sum, b.Count = append(b.Sum[:0], a.Sum...), a.Count }

// Add adds the images of a batch that trained the newest learner of s: e and de = ∂L/∂e, both [B, D].
// Errors: errs.Invalid when a size does not fit, or when another learner's scores are held (Reset is missing).
func (a *Scores) Add(s *Set, e, de []float32) error {
	if err := s.whole("scores", e, de); err != nil {
		return err
	}
	own := s.subspaces[s.Newest()]
	if a.Count == 0 {
		a.Sum = append(a.Sum[:0], make([]float64, len(own))...)
	}
	if len(a.Sum) != len(own) {
		return errs.New(errs.Invalid, "learner: scores: got %d neurons, want the newest learner's %d", len(a.Sum), len(own))
	}
	for at := 0; at < len(e); at += s.dim {
		for i, n := range own {
			a.Sum[i] += float64(e[at+n]) * float64(de[at+n])
		}
	}
	a.Count += int64(len(e) / s.dim)
	return nil
}

// Normalised returns |mean| scaled to [0, 1] by minimum and maximum over the learner, in the order of its subspace; nil
// when no image was added, and all 0 when the means are equal. The method's division by the l2 norm comes before the
// min–max scaling, which undoes it, and is therefore left out.
func (a *Scores) Normalised() []float64 {
	if a.Count == 0 {
		return nil
	}
	out := make([]float64, len(a.Sum))
	for i, v := range a.Sum {
		out[i] = math.Abs(v) / float64(a.Count)
	}
	low, high := slices.Min(out), slices.Max(out)
	for i := range out {
		if high > low {
			out[i] = (out[i] - low) / (high - low)
		} else {
			out[i] = 0
		}
	}
	return out
}

// Grow splits the newest learner by its scores in [0, 1], in the order of its subspace: neurons above 0.5 become a
// finished learner that takes its number, the others become the new newest learner. It returns those others, sorted:
// the neurons to reset. When no growth is possible the set is unchanged, reset is nil, and refusal says why.
func (s *Set) Grow(scores []float64) (reset []int, refusal string) {
	newest := s.Newest()
	own := s.subspaces[newest]
	if len(scores) != len(own) {
		return nil, fmt.Sprintf("got %d scores for the learner's %d neurons", len(scores), len(own))
	}
	if len(own) <= MinToGrow {
		return nil, fmt.Sprintf("the learner has %d neurons, more than %d are needed", len(own), MinToGrow)
	}
	if slices.ContainsFunc(scores, func(v float64) bool { return !(v >= 0 && v <= 1) }) {
		return nil, "a score lies outside 0 to 1"
	}
	if slices.Min(scores) == slices.Max(scores) {
		return nil, "all neurons have equal scores"
	}
	var keep, rest []int
	for i, n := range own {
		if scores[i] > 0.5 {
			keep = append(keep, n)
		} else {
			rest = append(rest, n)
		}
	}
	if min(len(keep), len(rest)) < MinPart {
		return nil, fmt.Sprintf("the parts would have %d and %d neurons, each needs %d", len(keep), len(rest), MinPart)
	}
	s.subspaces[newest] = keep
	s.subspaces = append(s.subspaces, rest)
	return slices.Clone(rest), ""
}
