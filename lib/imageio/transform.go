package imageio

import (
	"math"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// MaxSide bounds network input; 4096 is far above what fits a training step.
const MaxSide = 4096

// maxWholePixels bounds ResizeShorter, whose result grows with the aspect ratio: 16 megapixels.
const maxWholePixels = 16_000_000

// Augment is the training transform to size×size: a random part of 0.08 to 1 of the area and of aspect 3/4 to 4/3,
// resized, then mirrored each way with probability one half. dst is [size, size, 3]. All randomness comes from s.
// Source: torchvision's RandomResizedCrop, RandomHorizontalFlip, RandomVerticalFlip with their defaults.
func (r *Resizer) Augment(dst []uint8, img *Image, size int, s *rng.Stream) error {
	if err := checkTransform(dst, img, size); err != nil {
		return err
	}
	part := randomPart(img.Width, img.Height, s)
	mirrorX, mirrorY := s.IntN(2) == 1, s.IntN(2) == 1
	r.resize(dst, img, part, size, size, rect{0, 0, size, size}, mirrorX, mirrorY)
	return nil
}

// randomPart tries ten times for a part that fits, then takes the largest central one of an allowed aspect.
func randomPart(width, height int, s *rng.Stream) rect {
	const minScale, maxScale, minAspect, maxAspect = 0.08, 1.0, 3.0 / 4, 4.0 / 3
	area := float64(width) * float64(height)
	for range 10 {
		part := area * (minScale + (maxScale-minScale)*s.Float64())
		aspect := math.Exp(math.Log(minAspect) + (math.Log(maxAspect)-math.Log(minAspect))*s.Float64())
		w := int(math.RoundToEven(math.Sqrt(part * aspect)))
		h := int(math.RoundToEven(math.Sqrt(part / aspect)))
		if w > 0 && w <= width && h > 0 && h <= height {
			return rect{s.IntN(width - w + 1), s.IntN(height - h + 1), w, h}
		}
	}
	w, h := width, height
	switch aspect := float64(width) / float64(height); {
	case aspect < minAspect:
		h = max(int(math.RoundToEven(float64(w)/minAspect)), 1)
	case aspect > maxAspect:
		w = max(int(math.RoundToEven(float64(h)*maxAspect)), 1)
	}
	return rect{(width - w) / 2, (height - h) / 2, w, h}
}

// ResizeShorter gives the whole picture with its shorter side at short pixels and the longer one in proportion
// (rounded down), for heatmaps; the result is upright and owns its pixels. The heatmap computed on it goes back with
// img.Geometry(), not with the result's.
// Errors: Invalid when short is out of range or the picture is so long and thin that the result passes 16 megapixels.
func (r *Resizer) ResizeShorter(img *Image, short int) (*Image, error) {
	if err := img.check(); err != nil {
		return nil, err
	}
	if err := checkSide(short); err != nil {
		return nil, err
	}
	w, h := shorterTo(img.Width, img.Height, short)
	if w > maxWholePixels/h {
		return nil, errs.New(errs.Invalid, "imageio: image of %d×%d pixels: got %d×%d with its shorter side at %d, want at most %d pixels",
			img.Width, img.Height, w, h, short, maxWholePixels)
	}
	out := &Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h), Orientation: Upright}
	r.resize(out.Pix, img, rect{0, 0, img.Width, img.Height}, w, h, rect{0, 0, w, h}, false, false)
	return out, nil
}

// shorterTo scales a size so that its shorter side is short.
func shorterTo(width, height, short int) (int, int) {
	if width <= height {
		return short, int(int64(short) * int64(height) / int64(width))
	}
	return int(int64(short) * int64(width) / int64(height)), short
}

func checkSide(size int) error {
	if size < 1 || size > MaxSide {
		return errs.New(errs.Invalid, "imageio: input size: got %d pixels, want 1 to %d", size, MaxSide)
	}
	return nil
}

func checkTransform(dst []uint8, img *Image, size int) error {
	if err := checkOutput(dst, size); err != nil {
		return err
	}
	return img.check()
}

func checkOutput(dst []uint8, size int) error {
	if err := checkSide(size); err != nil {
		return err
	}
	if len(dst) != 3*size*size {
		return errs.New(errs.Invalid, "imageio: output: got room for %d bytes, want %d×%d×3", len(dst), size, size)
	}
	return nil
}
