package model

import (
	"context"
	"math"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
)

// Explanation says why two images are similar. MapA sums with Bias to Similarity, and so does MapB.
type Explanation struct {
	Similarity float64 // cosine of the two embeddings, or of one learner's parts
	Bias       float64 // the part that comes from the embedding's bias and belongs to no place
	GridH      int
	GridW      int
	MapA, MapB []float32 // [GridH,GridW]: what each place of the one image adds to the similarity with the other
}

// Whole asks for the whole embedding instead of one learner.
const Whole = -1

// ExplainPair says where two images of InputSize×InputSize pixels are similar. The embedding is linear in the pooled features, so with N_k a
// learner's neurons
//
//	c_k(p) = ⟨(W·A(p)F_x(p))[N_k], e_y[N_k]⟩/(H'W'·‖e_x[N_k]‖·‖e_y[N_k]‖),   bias term ⟨b[N_k], e_y[N_k]⟩/(‖e_x[N_k]‖·‖e_y[N_k]‖)
//
// and Σ_p c_k(p) + bias = cos(e_x[N_k], e_y[N_k]) exactly. The whole embedding's map is the mean over the learners, as its cosine is. The bias terms of the
// two directions differ; Bias is that of A, and MapB is shifted evenly by the difference so that both maps sum with it to Similarity.
//
// k is a learner or Whole. Errors: Invalid for k or the pixels; Cancelled; Device. Source: the linearity of W·GAP(F ⊙ A) + b.
func (s *Session) ExplainPair(ctx context.Context, a, b []byte, k int) (*Explanation, error) {
	m := s.Model
	size := m.InputSize
	if want := size * size * 3; len(a) != want || len(b) != want {
		return nil, errs.New(errs.Invalid, "model: explain pair: got %d and %d pixels, want [%d, %d, 3] each", len(a), len(b), size, size)
	}
	if k < Whole || k >= m.Learners.NumLearners() {
		return nil, errs.New(errs.Invalid, "model: explain pair: learner: got %d, want 0 to %d, or -1 for all", k, m.Learners.NumLearners()-1)
	}
	var side [2]*sideOf
	for i, pixels := range [][]byte{a, b} {
		err := s.runner.Run(ctx, Explain, 1, size, size, copyPixels(pixels), func(r *Result) error {
			side[i] = &sideOf{slices.Clone(r.Embedding), slices.Clone(r.Attention), slices.Clone(r.Features)}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	gh, gw := Grid(m.Arch.Stem, size, size)
	out := &Explanation{GridH: gh, GridW: gw}
	var biasB float64
	out.MapA, out.Bias, out.Similarity = m.contributions(side[0], side[1], k)
	out.MapB, biasB, _ = m.contributions(side[1], side[0], k)
	for i := range out.MapB {
		out.MapB[i] += float32((biasB - out.Bias) / float64(len(out.MapB)))
	}
	return out, nil
}

// sideOf is what one image of a pair gave.
type sideOf struct{ e, gate, features []float32 }

// contributions is the map of x against y, its bias term and the similarity.
func (m *Model) contributions(x, y *sideOf, k int) (grid []float32, bias, similarity float64) {
	g := m.direction(x.e, y.e, k)
	weight, b := m.Weights[EmbeddingWeight], m.Weights[EmbeddingBias]
	c := len(weight) / len(b)
	q := make([]float64, c) // Wᵀg
	for d, gd := range g {
		bias += float64(b[d]) * gd
		similarity += float64(x.e[d]) * gd
		for i := range c {
			q[i] += float64(weight[d*c+i]) * gd
		}
	}
	cells := len(x.features) / c
	grid = make([]float32, cells)
	for p := range grid {
		sum := 0.0
		for i, f := range x.features[p*c:][:c] {
			sum += float64(f) * q[i]
		}
		if x.gate != nil {
			sum *= float64(x.gate[p])
		}
		grid[p] = float32(sum / float64(cells))
	}
	return grid, bias, similarity
}

// direction is g with ⟨e_x, g⟩ = the similarity: e_y[N_k]/(‖e_x[N_k]‖·‖e_y[N_k]‖), over K for the whole embedding.
func (m *Model) direction(x, y []float32, k int) []float64 {
	g := make([]float64, len(x))
	each := []int{k}
	if k == Whole {
		each = each[:0]
		for j := range m.Learners.NumLearners() {
			each = append(each, j)
		}
	}
	for _, j := range each {
		own := m.Learners.Subspace(j)
		scale := 1 / (length(x, own) * length(y, own) * float64(len(each)))
		for _, d := range own {
			g[d] = float64(y[d]) * scale
		}
	}
	return g
}

func length(e []float32, own []int) float64 {
	sum := learner.Epsilon
	for _, d := range own {
		sum += float64(e[d]) * float64(e[d])
	}
	return math.Sqrt(sum)
}
