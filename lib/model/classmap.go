package model

import (
	"context"
	"math"
	"slices"

	"libdsl/lib/errs"
)

// Predicted asks ClassMap for the class with the highest score.
const Predicted = -1

// Classify writes the class probabilities of n images of InputSize×InputSize pixels to out [n,classes]: softmax of the scores s = Wv + b, so every
// row sums to 1. fill is that of Embed. Errors: Unsupported without class scores, Invalid for out, those of fill, Cancelled, Device.
func (s *Session) Classify(ctx context.Context, n int, fill func(first, count int, pixels []byte) error, out []float32) error {
	if err := s.checkClasses(); err != nil {
		return err
	}
	k := s.Model.Arch.EmbeddingDim
	if len(out) != n*k {
		return errs.New(errs.Invalid, "model: classify: got room for %d numbers, want [%d, %d]", len(out), n, k)
	}
	size := s.Model.InputSize
	return s.runner.Run(ctx, Embed, n, size, size, fill, func(r *Result) error {
		for i := range r.Count {
			softmax(r.Embedding[i*k:][:k], out[(r.First+i)*k:][:k])
		}
		return nil
	})
}

// ClassMap is Grad-CAM: it writes what each place of one image adds to a class's score into grid [H',W'] (see Grid), and returns the class.
//
//	L(p) = max(0, Σ_c W[class,c]·F'_c(p)), divided by its largest value
//
// with F' = F ⊙ A the last feature map. Grad-CAM weighs channel c by the mean over places of ∂s/∂F'_c(p); as s = W·GAP(F') + b, that is
// W[class,c]/(H'W') everywhere, and the constant 1/(H'W') goes with the division. Without the max it is the class activation map of Zhou et al.
//
// class is Predicted or a number of 0 to classes−1; Predicted is the class with the highest score of this picture, the lowest of equal ones. Values lie in
// [0, 1]; a map that is nowhere positive is 0. Errors: Unsupported without class scores; Invalid for the class, the image or the size of grid;
// Cancelled, Device. Source: Selvaraju et al. 2017, eq. 1–2; Zhou et al. 2016, eq. 2.
func (s *Session) ClassMap(ctx context.Context, p Picture, class int, grid []float32) (int, error) {
	if err := s.checkClasses(); err != nil {
		return 0, err
	}
	if class < Predicted || class >= s.Model.Arch.EmbeddingDim {
		return 0, errs.New(errs.Invalid, "model: class map: class: got %d, want 0 to %d, or %d for the predicted one", class, s.Model.Arch.EmbeddingDim-1, Predicted)
	}
	if err := s.checkGrid(p, grid); err != nil {
		return 0, err
	}
	x, err := s.side(ctx, p)
	if err != nil {
		return 0, err
	}
	if class == Predicted {
		class = highest(x.head)
	}
	weight := s.Model.Weights[EmbeddingWeight]
	q := make([]float64, len(weight)/s.Model.Arch.EmbeddingDim)
	for c := range q {
		q[c] = float64(weight[class*len(q)+c])
	}
	positive(x.project(q), grid)
	return class, nil
}

// SelfMap writes what each place of one image adds to the image's own embedding into grid [H',W'] (see Grid): the positive part of the map that
// ExplainPair gives for the image with itself, divided by its largest value. Values lie in [0, 1]; a map that is nowhere positive is 0.
// Errors: Invalid for the image or the size of grid; Cancelled, Device.
func (s *Session) SelfMap(ctx context.Context, p Picture, grid []float32) error {
	if err := s.checkGrid(p, grid); err != nil {
		return err
	}
	x, err := s.side(ctx, p)
	if err != nil {
		return err
	}
	cells, _, _ := s.Model.contributions(x, x, Whole)
	wide := make([]float64, len(cells))
	for i, v := range cells {
		wide[i] = float64(v)
	}
	positive(wide, grid)
	return nil
}

// ActivationMap writes where one image has strong features into grid [H',W'] (see Grid): (‖F(p)‖ − least)/(greatest − least) of the feature map F before
// the attention, in [0, 1]; 0 where all places are equal. Errors: Invalid for the image or the size of grid; Cancelled, Device.
func (s *Session) ActivationMap(ctx context.Context, p Picture, grid []float32) error {
	if err := s.checkGrid(p, grid); err != nil {
		return err
	}
	x, err := s.side(ctx, p)
	if err != nil {
		return err
	}
	norms := make([]float64, len(grid))
	c := len(x.features) / len(grid)
	for i := range norms {
		for _, v := range x.features[i*c:][:c] {
			norms[i] += float64(v) * float64(v)
		}
		norms[i] = math.Sqrt(norms[i])
	}
	least := slices.Min(norms)
	for i := range norms {
		norms[i] -= least
	}
	positive(norms, grid)
	return nil
}

func (s *Session) checkClasses() error {
	if s.Model.Head != ClassificationHead {
		return errs.New(errs.Unsupported, "model: classes: this network embeds and has no class scores; train one with the loss %q", "classification")
	}
	return nil
}

// highest is the index of the largest number, the lowest of equal ones.
func highest(x []float32) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// positive writes max(0, x)/max x to out, 0 where nothing is positive.
func positive(x []float64, out []float32) {
	top := 0.0
	for _, v := range x {
		top = max(top, v)
	}
	clear(out)
	if top == 0 {
		return
	}
	for i, v := range x {
		out[i] = float32(max(0, v) / top)
	}
}

func softmax(scores, out []float32) {
	top, sum := float64(scores[highest(scores)]), 0.0
	for _, v := range scores {
		sum += math.Exp(float64(v) - top)
	}
	for i, v := range scores {
		out[i] = float32(math.Exp(float64(v)-top) / sum)
	}
}
