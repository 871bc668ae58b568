package imageio

import (
	"math"

	"libdsl/lib/errs"
)

// Layout is the shape of a picture in memory: Height rows of Width pixels of Channels (1 gray, 3 RGB) interleaved
// elements; a row begins Stride elements after the one before. Stride 0 means Width·Channels.
type Layout struct {
	Height, Width, Channels, Stride int
}

// Window is the range of values that becomes 0 to 255; what lies outside is clamped. The zero Window is the full
// range: 0–255 for uint8, 0–65535 for uint16, 0–1 for float32.
type Window struct {
	Lo, Hi float32
}

// FromArray makes a picture of an array, level = round(255·(v − Lo)/(Hi − Lo)) clamped to 0…255.
// Errors: Invalid when the shape, the length or the window makes no sense, or a value is NaN.
func FromArray[T uint8 | uint16 | float32](pix []T, l Layout, w Window) (*Image, error) {
	if l.Stride == 0 {
		l.Stride = l.Width * l.Channels
	}
	if err := l.check(len(pix)); err != nil {
		return nil, err
	}
	if w == (Window{}) {
		w.Hi = fullRange(pix)
	}
	if err := w.check(); err != nil {
		return nil, err
	}
	img := &Image{Width: l.Width, Height: l.Height, Pix: make([]uint8, 3*l.Width*l.Height), Orientation: Upright}
	lo, width := float64(w.Lo), float64(w.Hi)-float64(w.Lo)
	for y := range l.Height {
		row := pix[y*l.Stride:][:l.Width*l.Channels]
		dst := img.Pix[3*y*l.Width:][:3*l.Width]
		for i, v := range row {
			f := (float64(v) - lo) * 255 / width
			if f != f {
				return nil, errs.New(errs.Invalid, "imageio: array: got NaN at row %d, column %d, want a number", y, i/l.Channels)
			}
			u := uint8(math.Floor(min(max(f, 0), 255) + 0.5))
			if l.Channels == 3 {
				dst[i] = u
			} else {
				dst[3*i], dst[3*i+1], dst[3*i+2] = u, u, u
			}
		}
	}
	return img, nil
}

func fullRange[T uint8 | uint16 | float32](pix []T) float32 {
	switch any(pix).(type) {
	case []uint8:
		return math.MaxUint8
	case []uint16:
		return math.MaxUint16
	}
	return 1
}

func (w Window) check() error {
	d := w.Hi - w.Lo
	if !(d > 0) || math.IsInf(float64(d), 0) { // NaN fails the comparison
		return errs.New(errs.Invalid, "imageio: window: got %v to %v, want two finite numbers, the second larger", w.Lo, w.Hi)
	}
	return nil
}

func (l Layout) check(n int) error {
	if l.Channels != 1 && l.Channels != 3 {
		return errs.New(errs.Invalid, "imageio: array: got %d channels, want 1 (gray) or 3 (RGB)", l.Channels)
	}
	if l.Width < 1 || l.Height < 1 || l.Width > DefaultMaxPixels/l.Height {
		return errs.New(errs.Invalid, "imageio: array: got %d×%d pixels (height × width), want 1 to %d pixels in all",
			l.Height, l.Width, DefaultMaxPixels)
	}
	row := l.Width * l.Channels
	if l.Stride < row {
		return errs.New(errs.Invalid, "imageio: array: got a row stride of %d elements, want at least %d", l.Stride, row)
	}
	// n ≥ (Height−1)·Stride + row, written so that it cannot overflow
	if n < row || (n-row)/l.Stride < l.Height-1 {
		return errs.New(errs.Invalid, "imageio: array: got %d elements, want %d rows of %d at stride %d", n, l.Height, row, l.Stride)
	}
	return nil
}
