package miner

import (
	"cmp"
	"slices"
	"sort"

	"libdsl/lib/distance"
)

// Triplet is an anchor, an image of its class and an image of another class, as rows of the batch.
type Triplet struct{ Anchor, Positive, Negative int }

// SemiHard mines one triplet for every ordered same-class pair of a batch: its negative is the semi-hard one, the nearest with
// d_an > d_ap, or, where no negative is farther than the positive, the anchor's farthest negative. Ties go to the lowest row.
// A batch of one class gives nothing.
//
// The zero value is ready; it has one user at a time. Source: Schroff et al. (FaceNet), CVPR 2015, section 3.2.
type SemiHard struct {
	positives []candidate // of one anchor, nearest first
	beyond    []int       // [positives], the nearest negative beyond this positive but not beyond the next; -1: none
}

// Mine writes the triplets of a batch with distances d [B, B] and labels [B] into triplets, reusing its memory, ordered by anchor
// and then by the positive's distance. Errors: errs.Invalid when d and labels differ in B.
func (m *SemiHard) Mine(d *distance.Matrix, labels []int64, triplets *[]Triplet) error {
	if err := checkLabels(d, labels); err != nil {
		return err
	}
	out := (*triplets)[:0]
	for anchor, label := range labels {
		row := d.Row(anchor)
		m.sortPositives(anchor, row, labels)
		negative := m.placeNegatives(row, labels, label)
		if negative < 0 {
			continue
		}
		for i := len(m.positives) - 1; i >= 0; i-- { // from the farthest positive, beyond which there may be no negative
			if m.beyond[i] >= 0 {
				negative = m.beyond[i]
			}
			m.beyond[i] = negative
		}
		for i, p := range m.positives {
			out = append(out, Triplet{anchor, p.row, m.beyond[i]})
		}
	}
	*triplets = out
	return nil
}

// sortPositives fills m.positives.
func (m *SemiHard) sortPositives(anchor int, row []float64, labels []int64) {
	m.positives = m.positives[:0]
	for other, l := range labels {
		if l == labels[anchor] && other != anchor {
			m.positives = append(m.positives, candidate{row[other], other})
		}
	}
	slices.SortFunc(m.positives, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.key, b.key), a.row-b.row) })
}

// placeNegatives fills m.beyond and returns the farthest negative, or -1.
func (m *SemiHard) placeNegatives(row []float64, labels []int64, label int64) int {
	m.beyond = distance.Resize(m.beyond, len(m.positives))
	for i := range m.beyond {
		m.beyond[i] = -1
	}
	farthest := -1
	for other, l := range labels {
		if l == label {
			continue
		}
		d := row[other]
		if farthest < 0 || d > row[farthest] {
			farthest = other
		}
		nearer := sort.Search(len(m.positives), func(i int) bool { return m.positives[i].key >= d })
		if nearer == 0 {
			continue
		}
		if best := m.beyond[nearer-1]; best < 0 || d < row[best] {
			m.beyond[nearer-1] = other
		}
	}
	return farthest
}
