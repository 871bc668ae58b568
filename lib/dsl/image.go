package dsl

import (
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// Image is a picture; it never changes and may be shared.
type Image = imageio.Image

// LoadImage reads a JPEG or PNG file. Errors: as imageio.DecodeFile.
func LoadImage(path string) (*Image, error) { return imageio.DecodeFile(path, 0) }

// NewImage copies an array of gray or RGB pixels. Errors: as imageio.FromArray.
func NewImage[T uint8 | uint16 | float32](pix []T, l imageio.Layout, w imageio.Window) (*Image, error) {
	return imageio.FromArray(pix, l, w)
}

// OriginalSize is the size of a file's own pixel grid, before EXIF orientation: the geometry of heatmaps.
func OriginalSize(img *Image) (height, width int) {
	width, height = img.Geometry().Stored()
	return height, width
}

// OriginalPixels writes the RGB pixels of the original, [height, width, 3] of OriginalSize: what lies under a heatmap.
// Errors: BufferTooSmall.
func OriginalPixels(img *Image, out []uint8) error {
	if err := checkRoom("pixels", len(out), len(img.Pix)); err != nil {
		return err
	}
	if img.Orientation <= imageio.Upright {
		copy(out, img.Pix)
		return nil
	}
	n := img.Width * img.Height
	displayed, stored := make([]float32, n), make([]float32, n)
	for c := range 3 {
		for i := range n {
			displayed[i] = float32(img.Pix[3*i+c])
		}
		// a grid with one cell for each pixel: this only undoes the orientation
		if err := img.Geometry().MapToOriginal(displayed, img.Height, img.Width, stored); err != nil {
			return err
		}
		for i, v := range stored {
			out[3*i+c] = uint8(v)
		}
	}
	return nil
}

// checkRoom tells a caller that a buffer holds less than want elements.
func checkRoom(what string, got, want int) error {
	if got < want {
		return errs.New(errs.BufferTooSmall, "dsl: %s: got room for %d numbers, want %d", what, got, want)
	}
	return nil
}
