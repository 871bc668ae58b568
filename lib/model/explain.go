package model

import (
	"context"
	"math"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
)

// Picture is the pixels of one image, [Height,Width,3].
type Picture struct {
	Pixels        []byte
	Height, Width int
}

func (p Picture) check() error {
	if p.Height < 1 || p.Width < 1 || len(p.Pixels) != p.Height*p.Width*3 {
		return errs.New(errs.Invalid, "model: image: got %d bytes, want [%d, %d, 3]", len(p.Pixels), p.Height, p.Width)
	}
	return nil
}

// Explanation says why two images are similar: ΣMapA + BiasA = ΣMapB + BiasB = Similarity.
type Explanation struct {
	Similarity   float64   // cosine of the two embeddings, or of one learner's parts
	BiasA, BiasB float64   // the parts that come from the embedding's bias and belong to no place
	MapA, MapB   []float32 // [H',W'] of each image (see Grid): what each place adds to the similarity with the other
}

// Whole asks for the whole embedding instead of one learner.
const Whole = -1

// ExplainPair says where two images, of any sizes, are similar. The embedding is linear in the pooled features, so with N_k a learner's neurons
//
//	c_k(p) = ⟨(W·A(p)F_x(p))[N_k], e_y[N_k]⟩/(H'W'·‖e_x[N_k]‖·‖e_y[N_k]‖),   bias_k = ⟨b[N_k], e_y[N_k]⟩/(‖e_x[N_k]‖·‖e_y[N_k]‖)
//
// and Σ_p c_k(p) + bias_k = cos(e_x[N_k], e_y[N_k]) exactly. The whole embedding's map is the mean over the learners, as its cosine is. A classification
// network embeds with v itself: W is the identity, b is 0.
//
// k is a learner or Whole. Errors: Invalid for k or an image; Cancelled; Device. Source: the linearity of W·GAP(F ⊙ A) + b.
func (s *Session) ExplainPair(ctx context.Context, a, b Picture, k int) (*Explanation, error) {
	m := s.Model
	if k < Whole || k >= m.Learners.NumLearners() {
		return nil, errs.New(errs.Invalid, "model: explain pair: learner: got %d, want 0 to %d, or -1 for all", k, m.Learners.NumLearners()-1)
	}
	var side [2]*sideOf
	for i, p := range []Picture{a, b} {
		var err error
		if side[i], err = s.side(ctx, p); err != nil {
			return nil, err
		}
	}
	var out Explanation
	out.MapA, out.BiasA, out.Similarity = m.contributions(side[0], side[1], k)
	out.MapB, out.BiasB, _ = m.contributions(side[1], side[0], k)
	return &out, nil
}

// sideOf is what one image gave: the head's outputs, the embedding before it has unit length (for class scores the penultimate vector), the attention
// or nil, the features.
type sideOf struct{ head, e, gate, features []float32 }

func (s *Session) side(ctx context.Context, p Picture) (side *sideOf, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	err = s.runner.Run(ctx, Explain, 1, p.Height, p.Width, copyPixels(p.Pixels), func(r *Result) error {
		head := slices.Clone(r.Embedding)
		side = &sideOf{head, head, slices.Clone(r.Attention), slices.Clone(r.Features)}
		if s.Model.Head == ClassificationHead {
			side.e = slices.Clone(r.Penultimate)
		}
		return nil
	})
	return side, err
}

// project is ⟨q, A(p)F(p)⟩ for every place p.
func (x *sideOf) project(q []float64) []float64 {
	c := len(q)
	out := make([]float64, len(x.features)/c)
	for p := range out {
		for i, f := range x.features[p*c:][:c] {
			out[p] += float64(f) * q[i]
		}
		if x.gate != nil {
			out[p] *= float64(x.gate[p])
		}
	}
	return out
}

// contributions is the map of x against y, its bias term and the similarity.
func (m *Model) contributions(x, y *sideOf, k int) (grid []float32, bias, similarity float64) {
	g := m.direction(x.e, y.e, k)
	for d, gd := range g {
		similarity += float64(x.e[d]) * gd
	}
	q := g
	if m.Head == EmbeddingHead {
		q, bias = m.throughEmbedding(g)
	}
	cells := x.project(q)
	grid = make([]float32, len(cells))
	for p, v := range cells {
		grid[p] = float32(v / float64(len(cells)))
	}
	return grid, bias, similarity
}

// throughEmbedding is Wᵀg and ⟨b, g⟩.
func (m *Model) throughEmbedding(g []float64) (q []float64, bias float64) {
	weight, b := m.Weights[EmbeddingWeight], m.Weights[EmbeddingBias]
	c := len(weight) / len(b)
	q = make([]float64, c)
	for d, gd := range g {
		bias += float64(b[d]) * gd
		for i := range c {
			q[i] += float64(weight[d*c+i]) * gd
		}
	}
	return q, bias
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
		own := m.subspace(j)
		scale := 1 / (length(x, own) * length(y, own) * float64(len(each)))
		for _, d := range own {
			g[d] = float64(y[d]) * scale
		}
	}
	return g
}

// subspace is a learner's part of the embedding that users get.
func (m *Model) subspace(k int) []int {
	if m.Head == EmbeddingHead {
		return m.Learners.Subspace(k)
	}
	all := make([]int, m.EmbeddingDim())
	for i := range all {
		all[i] = i
	}
	return all
}

func length(e []float32, own []int) float64 {
	sum := learner.Epsilon
	for _, d := range own {
		sum += float64(e[d]) * float64(e[d])
	}
	return math.Sqrt(sum)
}
