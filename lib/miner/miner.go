// Package miner picks the pairs and triplets of a batch that a loss looks at.
//
// Miners see distances and labels only. They never return an image paired with itself, nor a same-class image as a
// negative, and their buffers are reused: after the first batches nothing is allocated.
package miner

import (
	"libdsl/lib/distance"
	"libdsl/lib/errs"
)

// Pair is an anchor and the image it is compared with, as rows of the batch.
type Pair struct{ Anchor, Other int }

// Pairs are the mined pairs of a batch, ordered by anchor. Positives share the anchor's class, negatives do not.
type Pairs struct{ Positives, Negatives []Pair }

// MinDistance is the distance from which on a negative is preferred by Nearest; nearer ones are often mislabelled or
// give noisy gradients (Wu et al. 2017 clip at the same value).
const MinDistance = 0.5

// Nearest mines every ordered same-class pair as a positive, and for each anchor as many negatives as it has positives
// (fewer where the batch has fewer): the nearest ones at MinDistance or more; if there are too few, then the farthest
// ones below it, without which a batch that lies all below MinDistance would have no gradient, for ever.
// Ties go to the lowest row. An anchor without a positive gets no negative.
//
// The zero value is ready; it has one user at a time. Source: method of Adiga et al. (arXiv 2206.09068).
type Nearest struct {
	best []candidate
}

type candidate struct {
	key float64 // smaller is better
	row int
}

// checkLabels tests that there is one label for each row of d.
func checkLabels(d *distance.Matrix, labels []int64) error {
	if d.Len() != len(labels) {
		return errs.New(errs.Invalid, "miner: labels: got %d, want %d, one for each row", len(labels), d.Len())
	}
	return nil
}

// Mine writes the pairs of a batch with distances d [B, B] and labels [B] into pairs, reusing its slices.
// Errors: errs.Invalid when d and labels differ in B.
func (m *Nearest) Mine(d *distance.Matrix, labels []int64, pairs *Pairs) error {
	if err := checkLabels(d, labels); err != nil {
		return err
	}
	pairs.Positives, pairs.Negatives = pairs.Positives[:0], pairs.Negatives[:0]
	for anchor, label := range labels {
		before := len(pairs.Positives)
		for other, l := range labels {
			if l == label && other != anchor {
				pairs.Positives = append(pairs.Positives, Pair{anchor, other})
			}
		}
		want := len(pairs.Positives) - before
		m.negatives(d.Row(anchor), labels, label, want)
		for _, c := range m.best {
			pairs.Negatives = append(pairs.Negatives, Pair{anchor, c.row})
		}
	}
	return nil
}

// negatives fills m.best with up to want negatives of an anchor with the given distances and label.
func (m *Nearest) negatives(row []float64, labels []int64, label int64, want int) {
	m.best = m.best[:0]
	for other, l := range labels {
		if l != label && row[other] >= MinDistance {
			m.keep(candidate{row[other], other}, 0, want)
		}
	}
	far := len(m.best)
	if far == want {
		return
	}
	for other, l := range labels {
		if l != label && row[other] < MinDistance {
			m.keep(candidate{-row[other], other}, far, want)
		}
	}
}

// keep inserts c into the sorted list m.best[from:], which together with what is before it has at most limit entries.
// Candidates come in row order, so that a later one goes behind its equals.
func (m *Nearest) keep(c candidate, from, limit int) {
	n := len(m.best)
	if n < limit {
		m.best = append(m.best, c)
	} else if limit == from || m.best[n-1].key <= c.key {
		return
	} else {
		n--
	}
	for n > from && m.best[n-1].key > c.key {
		m.best[n] = m.best[n-1]
		n--
	}
	m.best[n] = c
}
