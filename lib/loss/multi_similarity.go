package loss

import "math"

// MultiSimilarity is the multi-similarity loss over the pairs that its own mining keeps:
//
//	loss = (1/P) · Σ_i ( (1/Alpha) log(1 + Σ_{k ∈ P_i} exp(−Alpha (s_ik − Base))) + (1/Beta) log(1 + Σ_{k ∈ N_i} exp(Beta (s_ik − Base))) )
//	P_i: images k ≠ i of i's class with s_ik < (largest similarity of i to another class) + Epsilon
//	N_i: images k of another class with s_ik > (smallest similarity of i to its own class) − Epsilon
//
// with s_ik = ⟨x_i, x_k⟩, the cosine of unit rows, and P the number of anchors i with mined pairs. If P_i is not empty, N_i is not either.
//
// Shapes: rows [B, D], of unit length; labels [B]. Anchors without an image of their own class or without one of another have no pairs. A batch
// without mined pairs (one image, one class, no two images of a class, classes far apart) gives 0 and a zero gradient.
// Source: Wang et al., CVPR 2019, eq. 9–11 and 15, where the sum is divided by B.
type MultiSimilarity struct {
	Alpha, Beta float64 // sharpness of the weights of positives and of negatives
	Base        float64 // λ, the similarity around which pairs are weighed
	Epsilon     float64 // how much easier than the hardest pair of the other kind a pair may be

	sim     similarity
	at      []int     // the mined pairs of one anchor
	weights []float64 // their exponents, then weights
}

// NewMultiSimilarity returns the loss with Alpha = 2, Beta = 50, Epsilon = 0.1 (Wang et al. 2019) and Base = 0.5: the paper says 1, its authors'
// code and pytorch-metric-learning use 0.5.
func NewMultiSimilarity() *MultiSimilarity {
	return &MultiSimilarity{Alpha: 2, Beta: 50, Base: 0.5, Epsilon: 0.1}
}

// Name is "multi-similarity".
func (l *MultiSimilarity) Name() string { return "multi-similarity" }

// Compute implements Loss; terms is P.
func (l *MultiSimilarity) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss multi-similarity", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	l.sim.compute(x, dim)
	for i := range labels {
		least, most := l.hardest(i, labels)
		if least >= most+l.Epsilon { // also where one of them is missing
			continue
		}
		terms++
		value += l.part(i, labels, true, -l.Alpha, math.Inf(-1), most+l.Epsilon)
		value += l.part(i, labels, false, l.Beta, least-l.Epsilon, math.Inf(1))
	}
	return l.sim.mean(value, terms, grad)
}

// hardest returns anchor i's smallest similarity to its own class, or +∞, and its largest to another, or −∞.
func (l *MultiSimilarity) hardest(i int, labels []int64) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	s, _ := l.sim.row(i)
	for k, label := range labels {
		switch {
		case label != labels[i]:
			most = max(most, s[k])
		case k != i:
			least = min(least, s[k])
		}
	}
	return least, most
}

// part is anchor i's half of the loss, over its own class or the others, with similarities between low and high: (1/|sharp|) log(1 + Σ exp(sharp (s − Base))).
func (l *MultiSimilarity) part(i int, labels []int64, own bool, sharp, low, high float64) float64 {
	l.at, l.weights = l.at[:0], l.weights[:0]
	s, slope := l.sim.row(i)
	for k, label := range labels {
		if (label == labels[i]) == own && k != i && s[k] > low && s[k] < high {
			l.at = append(l.at, k)
			l.weights = append(l.weights, sharp*(s[k]-l.Base))
		}
	}
	value := logOnePlus(l.weights) / math.Abs(sharp)
	for at, k := range l.at {
		slope[k] = math.Copysign(l.weights[at], sharp)
	}
	return value
}
