package imageio

import (
	"slices"

	"libdsl/lib/errs"
)

// Image is a picture as displayed: Height rows of Width RGB pixels, 8 bits each, without padding.
// Images may be shared; nothing in libdsl writes into one after it was made.
type Image struct {
	Width, Height int
	Pix           []uint8     // len 3·Width·Height
	Orientation   Orientation // how the file stores it; Upright for arrays
}

// Bytes is the memory that the pixels take.
func (m *Image) Bytes() int64 { return int64(len(m.Pix)) }

// check guards the transforms against an Image that was put together by hand.
func (m *Image) check() error {
	if m == nil || m.Width < 1 || m.Height < 1 {
		return errs.New(errs.Invalid, "imageio: image: got none or an empty one, want at least one pixel")
	}
	if len(m.Pix) != 3*m.Width*m.Height {
		return errs.New(errs.Invalid, "imageio: image: got %d bytes for %d×%d pixels, want %d",
			len(m.Pix), m.Width, m.Height, 3*m.Width*m.Height)
	}
	return nil
}

// Orientation is the EXIF orientation tag, 1 to 8: which way the stored rows and columns are displayed.
// Source: EXIF 2.32 (CIPA DC-008), tag 0x0112.
type Orientation uint8

// Upright is the orientation of a picture stored as it is displayed.
const Upright Orientation = 1

// axes says how a displayed position becomes a stored one: swap x and y, then mirror the stored x, then the stored y.
func (o Orientation) axes() (swap, mirrorX, mirrorY bool) {
	switch o {
	case 2:
		return false, true, false
	case 3:
		return false, true, true
	case 4:
		return false, false, true
	case 5:
		return true, false, false
	case 6:
		return true, false, true
	case 7:
		return true, true, true
	case 8:
		return true, true, false
	}
	return false, false, false
}

// Stored is the size of the file's own pixel grid for a picture displayed at width×height (and the other way round).
func (o Orientation) Stored(width, height int) (int, int) {
	if swap, _, _ := o.axes(); swap {
		return height, width
	}
	return width, height
}

// storedRect is where part of the displayed picture lies in the file's own pixel grid, of width×height.
func (o Orientation) storedRect(part rect, width, height int) rect {
	swap, mirrorX, mirrorY := o.axes()
	if swap {
		part = rect{part.y, part.x, part.h, part.w}
	}
	if mirrorX {
		part.x = width - part.x - part.w
	}
	if mirrorY {
		part.y = height - part.y - part.h
	}
	return part
}

// Clone is a copy with pixels of its own.
func (m *Image) Clone() *Image {
	c := *m
	c.Pix = slices.Clone(m.Pix)
	return &c
}
