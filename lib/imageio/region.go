package imageio

// WholeSize is the size that ResizeShorter gives img. Errors: as ResizeShorter's, but for its limit on the result.
func WholeSize(img *Image, short int) (width, height int, err error) {
	if err := img.check(); err != nil {
		return 0, 0, err
	}
	if err := checkSide(short); err != nil {
		return 0, 0, err
	}
	width, height = shorterTo(img.Width, img.Height, short)
	return width, height, nil
}
