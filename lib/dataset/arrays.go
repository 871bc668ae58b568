package dataset

import (
	"fmt"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// Arrays describes pictures in memory. Exactly one of Uint8, Uint16 and Float32 holds them, [N, Height, Width,
// Channels] without gaps, Channels 1 (gray) or 3 (RGB). The slices are not copied: leave them alone while the data set
// is in use.
type Arrays struct {
	Uint8   []uint8
	Uint16  []uint16
	Float32 []float32

	N, Height, Width, Channels int
	Window                     imageio.Window // of uint16 and float32; zero means the full range

	Labels     []int64  // N, each 0 to 65535
	ClassNames []string // by label; nil means digits
	Splits     []Split  // N, or nil: all in Train
	Groups     []int64  // N: equal numbers are one group, negative means none; or nil
}

// FromArrays makes a data set of pictures in memory.
// Errors: Invalid when a length, shape or label is wrong; NaN in a picture is found by Check.
func FromArrays(a Arrays) (*Dataset, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	b := newBuilder()
	for label, name := range a.ClassNames {
		b.nameClass(int64(label), name)
	}
	for i, label := range a.Labels {
		if label < 0 || label > maxLabel || (a.ClassNames != nil && label >= int64(len(a.ClassNames))) {
			return nil, errs.New(errs.Invalid, "dataset: arrays: got label %d for image %d, want 0 to %d", label, i, a.topLabel())
		}
		s := Sample{Name: fmt.Sprintf("image %d", i), Label: label, Group: NoGroup, row: i, bytes: -1}
		if a.Splits != nil {
			if s.Split = a.Splits[i]; s.Split > Test {
				return nil, errs.New(errs.Invalid, "dataset: arrays: got %v for image %d, want 0 (train), 1 (val) or 2 (test)", s.Split, i)
			}
		}
		if a.Groups != nil && a.Groups[i] >= 0 {
			s.Group = b.groupNumber(fmt.Sprint(a.Groups[i]))
		}
		b.d.Samples = append(b.d.Samples, s)
	}
	b.d.arrays = arraySource{a}
	return b.finish("arrays")
}

func (a *Arrays) topLabel() int {
	if a.ClassNames != nil {
		return len(a.ClassNames) - 1
	}
	return maxLabel
}

func (a *Arrays) check() error {
	given, n := 0, 0
	for _, length := range []int{len(a.Uint8), len(a.Uint16), len(a.Float32)} {
		if length > 0 {
			given, n = given+1, length
		}
	}
	if given != 1 {
		return errs.New(errs.Invalid, "dataset: arrays: got %d arrays with pixels, want one (uint8, uint16 or float32)", given)
	}
	if a.Channels != 1 && a.Channels != 3 {
		return errs.New(errs.Invalid, "dataset: arrays: got %d channels, want 1 (gray) or 3 (RGB)", a.Channels)
	}
	if a.N < 1 || a.Height < 1 || a.Width < 1 || a.Width > imageio.DefaultMaxPixels/a.Height {
		return errs.New(errs.Invalid, "dataset: arrays: got the shape [%d, %d, %d, %d], want at least one image of 1 to %d pixels",
			a.N, a.Height, a.Width, a.Channels, imageio.DefaultMaxPixels)
	}
	if one := a.imageLen(); n%one != 0 || n/one != a.N {
		return errs.New(errs.Invalid, "dataset: arrays: got %d values for the shape [%d, %d, %d, %d]", n, a.N, a.Height, a.Width, a.Channels)
	}
	if len(a.Labels) != a.N || (a.Splits != nil && len(a.Splits) != a.N) || (a.Groups != nil && len(a.Groups) != a.N) {
		return errs.New(errs.Invalid, "dataset: arrays: got %d labels, %d splits, %d groups for %d images, want one each (or no splits, no groups)",
			len(a.Labels), len(a.Splits), len(a.Groups), a.N)
	}
	if len(a.ClassNames) > maxLabel+1 {
		return errs.New(errs.Invalid, "dataset: arrays: got %d class names, want at most %d", len(a.ClassNames), maxLabel+1)
	}
	return nil
}

func (a *Arrays) imageLen() int { return a.Height * a.Width * a.Channels }

// arraySource decodes from arrays.
type arraySource struct{ Arrays }

// decode says with shared that the picture uses the array's own memory, so that caching it would gain nothing.
func (a *arraySource) decode(s *Sample) (img *imageio.Image, shared bool, err error) {
	one := a.imageLen()
	from, to := s.row*one, (s.row+1)*one
	l := imageio.Layout{Height: a.Height, Width: a.Width, Channels: a.Channels}
	switch {
	case a.Uint8 != nil && a.Channels == 3 && a.Window == imageio.Window{}:
		img := &imageio.Image{Width: a.Width, Height: a.Height, Pix: a.Uint8[from:to:to], Orientation: imageio.Upright}
		return img, true, nil
	case a.Uint8 != nil:
		img, err = imageio.FromArray(a.Uint8[from:to], l, a.Window)
	case a.Uint16 != nil:
		img, err = imageio.FromArray(a.Uint16[from:to], l, a.Window)
	default:
		img, err = imageio.FromArray(a.Float32[from:to], l, a.Window)
	}
	if err != nil {
		return nil, false, errs.Wrap(errs.KindOf(err), err, "dataset: sample %q", s.Name)
	}
	return img, false, nil
}
