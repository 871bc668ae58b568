package miner

import (
	"math"
	"sort"

	"libdsl/lib/distance"
	"libdsl/lib/rng"
)

// MaxDistance is the distance beyond which DistanceWeighted draws no negative (Wu et al. 2017, in the authors' code): at the usual margin loss
// such a negative has no gradient any more.
const MaxDistance = 1.4

// minWeightedDim is the dimension from which on both exponents of the density are positive: with fewer neurons distances are spread over the whole
// range anyway, and the draw is uniform.
const minWeightedDim = 4

// DistanceWeighted mines every ordered same-class pair as a positive, and draws for each anchor as many negatives as it has positives, with
// replacement, so that all distances are seen alike often:
//
//	P(n) ∝ 1/q(max(d_an, MinDistance)) where d_an ≤ MaxDistance, else 0
//	q(d) ∝ d^(D−2) · (1 − d²/4)^((D−3)/2), the density of distances on the unit sphere of dimension D
//
// The draw is uniform over the anchor's negatives where all of them are farther than MaxDistance, and where D is below 4. An anchor without a
// positive or without a negative gets none. Rows are of unit length, so that d ≤ 2.
//
// Draw i of a seed is the same number on every machine, and Draws counts them. It has one user at a time.
// Source: Wu et al., ICCV 2017, eq. 2–4.
type DistanceWeighted struct {
	Draws uint64 // numbers drawn so far; a checkpoint saves it, and setting it goes on from there

	key        uint64
	negatives  []int     // of one anchor
	cumulative []float64 // [negatives], sums of their weights
}

// NewDistanceWeighted returns the miner with the random stream of a seed.
func NewDistanceWeighted(seed uint64) *DistanceWeighted {
	return &DistanceWeighted{key: rng.New(seed, "distance-weighted mining").Uint64()}
}

// Mine implements Miner.
func (m *DistanceWeighted) Mine(d *distance.Matrix, labels []int64, pairs *Pairs) error {
	if err := checkLabels(d, labels); err != nil {
		return err
	}
	pairs.Positives, pairs.Negatives = pairs.Positives[:0], pairs.Negatives[:0]
	for anchor := range labels {
		want := pairs.addPositives(anchor, labels)
		if want == 0 || !m.weigh(d.Row(anchor), labels, labels[anchor], d.Dim()) {
			continue
		}
		for range want {
			pairs.Negatives = append(pairs.Negatives, Pair{anchor, m.draw()})
		}
	}
	return nil
}

// weigh collects an anchor's negatives and the sums of their weights; it says whether there is any.
func (m *DistanceWeighted) weigh(row []float64, labels []int64, label int64, dim int) bool {
	m.negatives, m.cumulative = m.negatives[:0], m.cumulative[:0]
	nearest := math.Inf(1)
	for other, l := range labels {
		if l != label {
			m.negatives = append(m.negatives, other)
			nearest = min(nearest, row[other])
		}
	}
	uniform := dim < minWeightedDim || nearest > MaxDistance
	top, sum := logWeight(nearest, dim), 0.0 // the nearest has the largest weight
	for _, other := range m.negatives {
		if uniform {
			sum++
		} else if row[other] <= MaxDistance {
			sum += math.Exp(logWeight(row[other], dim) - top)
		}
		m.cumulative = append(m.cumulative, sum)
	}
	return len(m.negatives) > 0
}

// logWeight is −log q(max(d, MinDistance)) but for a constant. It falls with d up to √2.
func logWeight(d float64, dim int) float64 {
	square := max(d, MinDistance) * max(d, MinDistance)
	return -(float64(dim-3)*math.Log(square*(1-square/4)) + math.Log(square)) / 2 // d^(D−2) = (d²)^((D−3)/2)·√(d²)
}

// draw picks a negative with a probability in proportion to its weight.
func (m *DistanceWeighted) draw() int {
	at := float64(rng.Counter(m.key, m.Draws)) * m.cumulative[len(m.cumulative)-1]
	m.Draws++
	return m.negatives[sort.Search(len(m.cumulative), func(i int) bool { return m.cumulative[i] > at })]
}
