package loss

import (
	"math"

	"libdsl/lib/distance"
)

// SupervisedContrastive is the supervised contrastive loss with its sum outside the logarithm (L_out):
//
//	loss = (1/P) · Σ_i (1/|P_i|) Σ_{p ∈ P_i} ( log Σ_{a ≠ i} exp(s_ia/Temperature) − s_ip/Temperature )
//	P_i: images p ≠ i of i's class
//
// with s_ia = ⟨x_i, x_a⟩, the cosine of unit rows, and P the number of anchors i that have a positive.
//
// Shapes: rows [B, D], of unit length; labels [B]. A batch without two images of a class (one image too) gives 0 and a zero gradient. A batch of
// one class is pulled to equal similarities. Source: Khosla et al., NeurIPS 2020, eq. 2, which sums over the anchors.
type SupervisedContrastive struct {
	Temperature float64

	sim similarity
	exp []float64 // [B], of one anchor
}

// NewSupervisedContrastive returns the loss with Temperature = 0.1 (Khosla et al. 2020).
func NewSupervisedContrastive() *SupervisedContrastive {
	return &SupervisedContrastive{Temperature: 0.1}
}

// Name is "supervised-contrastive".
func (l *SupervisedContrastive) Name() string { return "supervised-contrastive" }

// Compute implements Loss; terms is P.
func (l *SupervisedContrastive) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss supervised-contrastive", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	l.sim.compute(x, dim)
	l.exp = distance.Resize(l.exp, len(labels))
	for i := range labels {
		positives := -1.0 // without i itself
		for _, label := range labels {
			if label == labels[i] {
				positives++
			}
		}
		if positives > 0 {
			terms++
			value += l.anchor(i, labels, positives)
		}
	}
	return l.sim.mean(value, terms, grad)
}

// anchor returns the mean of anchor i's terms and writes their slopes.
func (l *SupervisedContrastive) anchor(i int, labels []int64, positives float64) float64 {
	s, slope := l.sim.row(i)
	top := math.Inf(-1)
	for a, v := range s {
		if a != i {
			top = max(top, v)
		}
	}
	var sum, pulled float64
	for a, v := range s {
		if a == i {
			continue
		}
		l.exp[a] = math.Exp((v - top) / l.Temperature)
		sum += l.exp[a]
		if labels[a] == labels[i] {
			pulled += (v - top) / l.Temperature
		}
	}
	for a := range s {
		switch {
		case a == i:
		case labels[a] == labels[i]:
			slope[a] = (l.exp[a]/sum - 1/positives) / l.Temperature
		default:
			slope[a] = l.exp[a] / sum / l.Temperature
		}
	}
	return math.Log(sum) - pulled/positives
}
