package miner

import "libdsl/lib/distance"

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

// Mine implements Miner.
func (m *Nearest) Mine(d *distance.Matrix, labels []int64, pairs *Pairs) error {
	if err := checkLabels(d, labels); err != nil {
		return err
	}
	pairs.Positives, pairs.Negatives = pairs.Positives[:0], pairs.Negatives[:0]
	for anchor, label := range labels {
		want := pairs.addPositives(anchor, labels)
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
