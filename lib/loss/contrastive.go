package loss

import "libdsl/lib/distance"

// Contrastive is the contrastive loss over all pairs:
//
//	loss = (1/P) · (Σ d_ij² over pairs of one class + Σ max(0, Margin − d_ij)² over pairs of two)
//
// with P the number of terms above zero, both kinds counted alike, and d the distance of package distance. A pair is unordered and counted
// once; the mean over ordered pairs is the same. Pairs of one class are always above zero, as d is at least 1e-4.
//
// Shapes: rows [B, D], of unit length; labels [B]. Coinciding rows have no gradient. One image, or classes that are all Margin apart with one
// image each, give 0 and a zero gradient. Source: Hadsell et al., CVPR 2006, eq. 4, without its factor ½.
type Contrastive struct {
	Margin float64 // distance from which on two classes are far enough apart

	dist  distance.Matrix
	slope []float64 // [B, B], ∂loss/∂d, the upper triangle
}

// NewContrastive returns the contrastive loss with Margin = 1.
func NewContrastive() *Contrastive { return &Contrastive{Margin: 1} }

// Name is "contrastive".
func (l *Contrastive) Name() string { return "contrastive" }

// Compute implements Loss; terms is P.
func (l *Contrastive) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss contrastive", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	if err := l.dist.Compute(x, dim); err != nil {
		return 0, 0, err
	}
	n := len(labels)
	l.slope = distance.Resize(l.slope, n*n)
	clear(l.slope)
	for i := range n {
		row, slope := l.dist.Row(i), l.slope[i*n:(i+1)*n]
		for j := i + 1; j < n; j++ {
			if gap := l.Margin - row[j]; labels[i] == labels[j] {
				value += row[j] * row[j]
				slope[j] = 2 * row[j]
				terms++
			} else if gap > 0 {
				value += gap * gap
				slope[j] = -2 * gap
				terms++
			}
		}
	}
	return mean(&l.dist, l.slope, value, terms, grad)
}
