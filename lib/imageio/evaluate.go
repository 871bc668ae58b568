package imageio

import "math"

// Evaluate is the evaluation transform to size×size: the shorter side to round(size·256/224), then the centre crop.
// dst is [size, size, 3]. A picture always fills the crop. Source: method of ImageNet evaluation, as torchvision's
// Resize and CenterCrop.
func (r *Resizer) Evaluate(dst []uint8, img *Image, size int) error {
	if err := checkTransform(dst, img, size); err != nil {
		return err
	}
	w, h, crop := evaluation(img.Width, img.Height, size)
	r.resize(dst, img, rect{0, 0, img.Width, img.Height}, w, h, crop, false, false)
	return nil
}

// EvaluateFile is d.DecodeFile and Evaluate in one, with the same pixels and the same errors. It is faster where the file
// is a JPEG: what the crop does not show is read, and any damage there found, but no pixels are made of it.
func (r *Resizer) EvaluateFile(dst []uint8, d *Decoder, path string, maxPixels, size int) error {
	if err := checkOutput(dst, size); err != nil {
		return err
	}
	img, err := d.decodeFile(path, maxPixels, size)
	if err != nil {
		return err
	}
	return r.Evaluate(dst, img, size)
}

// evaluation is the size that a picture is brought to, and the crop of that.
func evaluation(width, height, size int) (w, h int, crop rect) {
	w, h = shorterTo(width, height, int(math.Round(float64(size)*256/224)))
	centre := func(n int) int { return int(math.RoundToEven(float64(n-size) / 2)) } // Python's round
	return w, h, rect{centre(w), centre(h), size, size}
}

// evaluated is the part of a picture that Evaluate reads.
func evaluated(width, height, size int) rect {
	w, h, crop := evaluation(width, height, size)
	columns, rows := span{in: width, out: w, lo: crop.x, n: size}, span{in: height, out: h, lo: crop.y, n: size}
	left, right := columns.sources()
	top, bottom := rows.sources()
	return rect{left, top, right - left, bottom - top}
}
