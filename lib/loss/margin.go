package loss

import (
	"libdsl/lib/distance"
	"libdsl/lib/miner"
)

// Margin is the margin loss over mined pairs:
//
//	loss = (1/P) · (Σ max(0, d_ap − Beta + Margin) + Σ max(0, Beta − d_an + Margin))
//
// with P the number of terms above zero, positives and negatives counted alike, and d the distance of package distance.
//
// Shapes: rows [B, D], of unit length; labels [B]. A batch without a term above zero (one image, no two images of a
// class, all pairs satisfied) gives 0 and a zero gradient. Source: Wu et al., ICCV 2017, eq. 5–6.
type Margin struct {
	Beta   float64 // boundary between positives and negatives
	Margin float64 // half the width of the gap around Beta

	mine  miner.Nearest
	dist  distance.Matrix
	pairs miner.Pairs
	slope []float64 // [B, B], ∂loss/∂d
}

// NewMargin returns the margin loss with Beta = 1.2 and Margin = 0.2 (Wu et al. 2017) and nearest mining.
func NewMargin() *Margin { return &Margin{Beta: 1.2, Margin: 0.2} }

// Name is "margin".
func (l *Margin) Name() string { return "margin" }

// Compute implements Loss; terms is P.
func (l *Margin) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss margin", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	if err := l.dist.Compute(x, dim); err != nil {
		return 0, 0, err
	}
	if err := l.mine.Mine(&l.dist, labels, &l.pairs); err != nil {
		return 0, 0, err
	}
	n := len(labels)
	l.slope = distance.Resize(l.slope, n*n)
	clear(l.slope)
	pulled, p := l.addTerms(l.pairs.Positives, 1)
	pushed, q := l.addTerms(l.pairs.Negatives, -1)
	return mean(&l.dist, l.slope, pulled+pushed, p+q, grad)
}

// addTerms sums max(0, sign·(d − Beta) + Margin) over pairs, adds the terms' slopes, and counts those above zero.
func (l *Margin) addTerms(pairs []miner.Pair, sign float64) (sum float64, terms int) {
	n := l.dist.Len()
	for _, p := range pairs {
		if t := sign*(l.dist.Row(p.Anchor)[p.Other]-l.Beta) + l.Margin; t > 0 {
			sum += t
			terms++
			l.slope[p.Anchor*n+p.Other] += sign
		}
	}
	return sum, terms
}
