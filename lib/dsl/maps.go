package dsl

import (
	"context"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/eval"
	"libdsl/lib/model"
)

// Predicted asks ClassMap for the class with the highest score.
const Predicted = model.Predicted

// Classify writes class probabilities to out [len(images), NumClasses], rows that sum to 1: the label is the column. Errors: Unsupported for a
// model that is no classification network, BufferTooSmall, Cancelled.
func (s *Session) Classify(ctx context.Context, images []*Image, out []float32) error {
	return s.rows(ctx, len(images), s.model.NumClasses(), given(images), out, (*model.Session).Classify)
}

// ClassMap writes Grad-CAM, where a classification network sees the class label, or the Predicted one, and returns the label: see
// model.Session.ClassMap. grid and original are those of Heatmap. Errors: Unsupported for other models, Invalid for the label, BufferTooSmall, Cancelled.
func (s *Session) ClassMap(ctx context.Context, img *Image, label int, grid, original []float32) (int, error) {
	err := s.mapped(img, grid, original, func(p model.Picture, raw []float32) (err error) {
		label, err = s.net.ClassMap(ctx, p, label, raw)
		return err
	})
	return label, err
}

// SelfMap writes where an image has what its own embedding is made of: see model.Session.SelfMap. grid and original are those of Heatmap.
// Errors: BufferTooSmall, Cancelled.
func (s *Session) SelfMap(ctx context.Context, img *Image, grid, original []float32) error {
	return s.mapped(img, grid, original, func(p model.Picture, raw []float32) error { return s.net.SelfMap(ctx, p, raw) })
}

// ActivationMap writes where an image has strong features: see model.Session.ActivationMap. grid and original are those of Heatmap.
// Errors: BufferTooSmall, Cancelled.
func (s *Session) ActivationMap(ctx context.Context, img *Image, grid, original []float32) error {
	return s.mapped(img, grid, original, func(p model.Picture, raw []float32) error { return s.net.ActivationMap(ctx, p, raw) })
}

// mapped computes a map of a whole image: raw on its grid, and spread over the original's pixels.
func (s *Session) mapped(img *Image, grid, original []float32, compute func(p model.Picture, raw []float32) error) error {
	gh, gw, err := s.GridSize(img)
	if err != nil {
		return err
	}
	h, w := OriginalSize(img)
	if err := checkRooms(room{"grid", grid, gh * gw}, room{"heatmap", original, h * w}); err != nil {
		return err
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	whole, err := s.whole(img)
	if err != nil {
		return err
	}
	raw := make([]float32, gh*gw)
	if err := compute(whole, raw); err != nil {
		return err
	}
	copy(grid, raw)
	if original == nil {
		return nil
	}
	return img.Geometry().MapToOriginal(raw, gh, gw, original[:h*w])
}

// Sources of maps that EvaluateMasks scores.
const (
	AttentionMap = "attention"  // Heatmap
	GradCAM      = "grad_cam"   // ClassMap of the predicted class
	SelfMap      = "self"       // SelfMap
	Activation   = "activation" // ActivationMap
)

// sourceOf completes the name of a source, "" being the model's own: Grad-CAM for a classification network, else attention.
func (s *Session) sourceOf(name string) (string, error) {
	switch name {
	case AttentionMap, GradCAM, SelfMap, Activation:
		return name, nil
	case "":
		if s.model.net.Head == model.ClassificationHead {
			return GradCAM, nil
		}
		return AttentionMap, nil
	}
	return "", errs.New(errs.Invalid, "dsl: source: got %q, want %q, %q, %q or %q", name, AttentionMap, GradCAM, SelfMap, Activation)
}

// maps computes the maps of a source; the session is locked.
func (s *Session) maps(source string) eval.MapFunc {
	return func(ctx context.Context, img *Image) ([]float32, int, int, error) {
		p, err := s.whole(img)
		if err != nil {
			return nil, 0, 0, err
		}
		gh, gw := model.Grid(s.model.net.Arch.Stem, p.Height, p.Width)
		grid := make([]float32, gh*gw)
		switch source {
		case GradCAM:
			_, err = s.net.ClassMap(ctx, p, Predicted, grid)
		case SelfMap:
			err = s.net.SelfMap(ctx, p, grid)
		case Activation:
			err = s.net.ActivationMap(ctx, p, grid)
		default:
			err = s.net.Attention(ctx, p, grid)
		}
		return grid, gh, gw, err
	}
}

// EvaluateMasks scores a source's maps ("" for the model's own) against the masks of a split of d ("" for all images) and returns the scores as indented
// JSON: see MaskEvaluation. What is chosen is chosen on the split "val". Errors: NotFound without masks in one of them; Unsupported for a source that
// the model does not have; those of eval.ScoreMasks.
func (s *Session) EvaluateMasks(ctx context.Context, d *Dataset, source, split string) ([]byte, error) {
	source, err := s.sourceOf(source)
	if err != nil {
		return nil, err
	}
	data, err := d.data()
	if err != nil {
		return nil, err
	}
	indices, err := indicesOf(data, split)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, err := eval.ScoreMasks(ctx, data, data.Indices(dataset.Val), indices, s.maps(source), s.threads)
	if err != nil {
		return nil, err
	}
	return indented(MaskEvaluation{source, splitName(split), r})
}

// MaskEvaluation is the JSON of Session.EvaluateMasks.
type MaskEvaluation struct {
	Source string `json:"source"`
	Split  string `json:"split"`
	*eval.MaskReport
}
