// Package miner picks the pairs and triplets of a batch that a loss looks at.
//
// Miners see distances and labels only. They never return an image paired with itself, nor a same-class image as a
// negative, and their buffers are reused: after the first batches nothing is allocated.
package miner

import (
	"slices"
	"strings"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
)

// Pair is an anchor and the image it is compared with, as rows of the batch.
type Pair struct{ Anchor, Other int }

// Pairs are the mined pairs of a batch, ordered by anchor. Positives share the anchor's class, negatives do not.
type Pairs struct{ Positives, Negatives []Pair }

// Miner picks the pairs of a batch. An implementation has one user at a time.
type Miner interface {
	// Mine writes the pairs of a batch with distances d [B, B] and labels [B] into pairs, reusing its slices.
	// Errors: errs.Invalid when d and labels differ in B.
	Mine(d *distance.Matrix, labels []int64, pairs *Pairs) error
}

// Names lists the miners of pairs, the default first.
func Names() []string { return []string{"nearest", "distance-weighted"} }

// New returns the miner of this name; seed is for one that draws at random. Errors: errs.Invalid that names the choices.
func New(name string, seed uint64) (Miner, error) {
	switch name {
	case "nearest":
		return &Nearest{}, nil
	case "distance-weighted":
		return NewDistanceWeighted(seed), nil
	}
	return nil, Check(name)
}

// Check reports whether New knows the miner. Errors: errs.Invalid that names the choices.
func Check(name string) error {
	if slices.Contains(Names(), name) {
		return nil
	}
	return errs.New(errs.Invalid, "miner: got %q, want one of %s", name, strings.Join(Names(), ", "))
}

// checkLabels tests that there is one label for each row of d.
func checkLabels(d *distance.Matrix, labels []int64) error {
	if d.Len() != len(labels) {
		return errs.New(errs.Invalid, "miner: labels: got %d, want %d, one for each row", len(labels), d.Len())
	}
	return nil
}

// addPositives appends every ordered pair of the anchor with another image of its class and returns how many there are.
func (p *Pairs) addPositives(anchor int, labels []int64) int {
	before := len(p.Positives)
	for other, l := range labels {
		if l == labels[anchor] && other != anchor {
			p.Positives = append(p.Positives, Pair{anchor, other})
		}
	}
	return len(p.Positives) - before
}
