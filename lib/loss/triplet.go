package loss

import (
	"libdsl/lib/distance"
	"libdsl/lib/miner"
)

// Triplet is the triplet loss over mined triplets, one for every ordered pair of an anchor and a positive (miner.SemiHard):
//
//	loss = (1/P) · Σ max(0, d_ap − d_an + Margin)
//
// with P the number of terms above zero and d the distance of package distance, not squared.
//
// Shapes: rows [B, D], of unit length; labels [B]. Coinciding rows have no gradient. A batch without a triplet (one image, one class, no two
// images of a class) or with all of them satisfied gives 0 and a zero gradient. Source: Schroff et al. (FaceNet), CVPR 2015, section 3, which
// squares the distances.
type Triplet struct {
	Margin float64 // how much farther than the positive a negative should be

	mine     miner.SemiHard
	dist     distance.Matrix
	triplets []miner.Triplet
	slope    []float64 // [B, B], ∂loss/∂d
}

// NewTriplet returns the triplet loss with Margin = 0.2 (Schroff et al. 2015).
func NewTriplet() *Triplet { return &Triplet{Margin: 0.2} }

// Name is "triplet".
func (l *Triplet) Name() string { return "triplet" }

// Compute implements Loss; terms is P.
func (l *Triplet) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss triplet", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	if err := l.dist.Compute(x, dim); err != nil {
		return 0, 0, err
	}
	if err := l.mine.Mine(&l.dist, labels, &l.triplets); err != nil {
		return 0, 0, err
	}
	n := len(labels)
	l.slope = distance.Resize(l.slope, n*n)
	clear(l.slope)
	for _, t := range l.triplets {
		row, slope := l.dist.Row(t.Anchor), l.slope[t.Anchor*n:(t.Anchor+1)*n]
		if v := row[t.Positive] - row[t.Negative] + l.Margin; v > 0 {
			value += v
			terms++
			slope[t.Positive]++
			slope[t.Negative]--
		}
	}
	return mean(&l.dist, l.slope, value, terms, grad)
}
