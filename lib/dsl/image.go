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

// checkRoom tells a caller that a buffer holds less than want elements.
func checkRoom(what string, got, want int) error {
	if got < want {
		return errs.New(errs.BufferTooSmall, "dsl: %s: got room for %d numbers, want %d", what, got, want)
	}
	return nil
}
