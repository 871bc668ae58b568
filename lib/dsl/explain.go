package dsl

import (
	"context"

	"libdsl/lib/imageio"
	"libdsl/lib/model"
)

// GridSize is the size of the network's own grid for an image taken whole, its shorter side at InputSize.
func (s *Session) GridSize(img *Image) (height, width int, err error) {
	w, h, err := imageio.WholeSize(img, s.model.InputSize())
	if err != nil {
		return 0, 0, err
	}
	height, width = model.Grid(s.model.net.Arch.Stem, h, w)
	return height, width, nil
}

// Heatmap writes the attention in [0, 1]: the raw grid (GridSize) and the map in the original's pixels
// (OriginalSize); either may be nil. Errors: Unsupported for a model without attention, BufferTooSmall, Cancelled.
func (s *Session) Heatmap(ctx context.Context, img *Image, grid, heatmap []float32) error {
	return s.mapped(img, grid, heatmap, func(p model.Picture, raw []float32) error { return s.net.Attention(ctx, p, raw) })
}

// whole is all of an image, its shorter side at InputSize.
func (s *Session) whole(img *Image) (model.Picture, error) {
	p, err := s.workers[0].resizer.ResizeShorter(img, s.model.InputSize())
	if err != nil {
		return model.Picture{}, err
	}
	return model.Picture{Pixels: p.Pix, Height: p.Height, Width: p.Width}, nil
}

// Explanation says why two images are similar: Σ GridA + BiasA = Σ MapA + BiasA = Similarity, and likewise for B.
// Slices are the caller's; nil ones are left out.
type Explanation struct {
	GridA, GridB []float32 // GridSize of each image
	MapA, MapB   []float32 // OriginalSize of each image
	Similarity   float64   // cosine, of the whole embedding or of one learner's part
	BiasA, BiasB float64   // what belongs to no place
}

// AllLearners asks ExplainPair for the whole embedding.
const AllLearners = model.Whole

// ExplainPair fills ex for two images taken whole: see Explanation and model.Session.ExplainPair. learner is
// AllLearners or 0 to K−1. Errors: Invalid for the learner, BufferTooSmall, Cancelled.
func (s *Session) ExplainPair(ctx context.Context, a, b *Image, learner int, ex *Explanation) error {
	sides := []*pairSide{{img: a, name: "a", grid: ex.GridA, original: ex.MapA}, {img: b, name: "b", grid: ex.GridB, original: ex.MapB}}
	for _, side := range sides {
		var err error
		if side.gh, side.gw, err = s.GridSize(side.img); err != nil {
			return err
		}
		side.h, side.w = OriginalSize(side.img)
		if err := checkRooms(room{"grid_" + side.name, side.grid, side.gh * side.gw}, room{"map_" + side.name, side.original, side.h * side.w}); err != nil {
			return err
		}
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, side := range sides {
		if side.pixels, err = s.whole(side.img); err != nil {
			return err
		}
	}
	found, err := s.net.ExplainPair(ctx, sides[0].pixels, sides[1].pixels, learner)
	if err != nil {
		return err
	}
	if err := sides[0].fill(found.MapA); err != nil {
		return err
	}
	if err := sides[1].fill(found.MapB); err != nil {
		return err
	}
	ex.Similarity, ex.BiasA, ex.BiasB = found.Similarity, found.BiasA, found.BiasB
	return nil
}

// pairSide is one image of a pair and where its maps go.
type pairSide struct {
	img            *Image
	name           string
	pixels         model.Picture
	grid, original []float32
	gh, gw, h, w   int
}

func (p *pairSide) fill(cells []float32) error {
	copy(p.grid, cells)
	if p.original == nil {
		return nil
	}
	return spread(p.img, cells, p.gh, p.gw, p.original[:p.h*p.w])
}

// room is a caller's buffer and what it must hold.
type room struct {
	name string
	have []float32
	want int
}

// checkRooms finds the first buffer that is too small; nil ones are not wanted.
func checkRooms(rooms ...room) error {
	for _, r := range rooms {
		if r.have != nil {
			if err := checkRoom(r.name, len(r.have), r.want); err != nil {
				return err
			}
		}
	}
	return nil
}
