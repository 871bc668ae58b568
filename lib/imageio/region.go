package imageio

import "math"

// WholeSize is the size that ResizeShorter gives img.
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

// EvaluateRegion is the part of the displayed picture that Evaluate sees, in the picture's pixels: from (x, y), of
// size w×h, fractions included.
func EvaluateRegion(img *Image, size int) (x, y, w, h float64) {
	rw, rh := shorterTo(img.Width, img.Height, int(math.Round(float64(size)*256/224)))
	sx, sy := float64(img.Width)/float64(rw), float64(img.Height)/float64(rh)
	return math.RoundToEven(float64(rw-size)/2) * sx, math.RoundToEven(float64(rh-size)/2) * sy, float64(size) * sx, float64(size) * sy
}
