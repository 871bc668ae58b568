package loss

import (
	"math"

	"libdsl/lib/distance"
	"libdsl/lib/internal/simd"
)

// similarity holds the inner products s_ij = ⟨x_i, x_j⟩ of the rows of one batch, cosines when the rows have unit length, and the slopes that a
// loss over them has. The zero value is ready for compute.
type similarity struct {
	n, dim int
	rows   []float64 // [B, D], the batch
	s      []float64 // [B, B]
	slope  []float64 // [B, B], ∂loss/∂s_ij over ordered pairs; the diagonal stays 0
	turned []float64 // [D, B], the batch again
	acc    []float64 // [B, D], gradient sums
}

// compute fills s for x [B, dim], which has been checked, and clears the slopes.
func (m *similarity) compute(x []float32, dim int) {
	n := len(x) / dim
	m.n, m.dim = n, dim
	m.rows, m.s, m.slope = distance.Resize(m.rows, len(x)), distance.Resize(m.s, n*n), distance.Resize(m.slope, n*n)
	for i, v := range x {
		m.rows[i] = float64(v)
	}
	simd.Dots(m.rows, m.rows, dim, m.s, n)
	clear(m.slope)
}

// row returns the similarities of row i and their slopes.
func (m *similarity) row(i int) (s, slope []float64) {
	return m.s[i*m.n : (i+1)*m.n], m.slope[i*m.n : (i+1)*m.n]
}

// mean returns what a loss of so many terms returns, and writes the gradient of the rows, which the slopes are used up for:
//
//	grad_i = (1/terms) Σ_j (slope_ij + slope_ji)·x_j
func (m *similarity) mean(sum float64, terms int, grad []float32) (float64, int, error) {
	if terms == 0 {
		clear(grad)
		return 0, 0, nil
	}
	n, dim := m.n, m.dim
	for i := range n {
		for j := range i {
			both := (m.slope[i*n+j] + m.slope[j*n+i]) / float64(terms)
			m.slope[i*n+j], m.slope[j*n+i] = both, both
		}
	}
	m.turned, m.acc = distance.Resize(m.turned, n*dim), distance.Resize(m.acc, n*dim)
	for i := range n {
		for c := range dim {
			m.turned[c*n+i] = m.rows[i*dim+c]
		}
	}
	simd.Dots(m.slope, m.turned, n, m.acc, dim)
	for i, v := range m.acc {
		grad[i] = float32(v)
	}
	return sum / float64(terms), terms, nil
}

// logOnePlus returns log(1 + Σ exp(t_k)) and replaces t by its derivatives exp(t_k)/(1 + Σ exp(t_k)). t of any size is safe: the maximum is taken
// out first. No t gives 0.
func logOnePlus(t []float64) float64 {
	top := 0.0
	for _, v := range t {
		top = max(top, v)
	}
	sum := math.Exp(-top)
	for k, v := range t {
		t[k] = math.Exp(v - top)
		sum += t[k]
	}
	for k := range t {
		t[k] /= sum
	}
	return top + math.Log(sum)
}
