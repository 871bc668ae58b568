package imageio

import "path/filepath"

// Decoder decodes file after file into the same memory: a picture that it gives is valid until the next one, and whoever
// wants it for longer keeps its Clone. It is for one goroutine; the zero value is ready. Decode and DecodeFile, the
// functions, give pictures that own their pixels.
type Decoder struct {
	file, stored, turned scratch
}

// scratch is memory that is used again.
type scratch []uint8

// maxScratch bounds what a Decoder keeps of each kind between pictures: 4 megapixels. Larger pictures get memory of
// their own.
const maxScratch = 12 << 20

// bytes gives n bytes of any content.
func (s *scratch) bytes(n int) []uint8 {
	if n > maxScratch {
		return make([]uint8, n)
	}
	*s = resized(*s, n)
	return *s
}

// DecodeFile is the function DecodeFile into the decoder's memory.
func (d *Decoder) DecodeFile(path string, maxPixels int) (*Image, error) {
	return d.decodeFile(path, maxPixels, 0)
}

// decodeFile is DecodeFile for a side as decode has it.
func (d *Decoder) decodeFile(path string, maxPixels, side int) (*Image, error) {
	name := filepath.Base(path)
	data, err := d.readFile(path, name)
	if err != nil {
		return nil, err
	}
	return d.decode(name, data, maxPixels, side)
}

// upright makes the displayed picture of stored RGB pixels; it keeps pix when there is nothing to turn.
func (d *Decoder) upright(pix []uint8, storedWidth, storedHeight int, o Orientation) *Image {
	w, h := o.Stored(storedWidth, storedHeight)
	img := &Image{Width: w, Height: h, Pix: pix, Orientation: o}
	if o == Upright {
		return img
	}
	swap, mirrorX, mirrorY := o.axes()
	img.Pix = d.turned.bytes(len(pix))
	for y := range h {
		for x := range w {
			sx, sy := x, y
			if swap {
				sx, sy = y, x
			}
			if mirrorX {
				sx = storedWidth - 1 - sx
			}
			if mirrorY {
				sy = storedHeight - 1 - sy
			}
			copy(img.Pix[3*(y*w+x):][:3], pix[3*(sy*storedWidth+sx):][:3])
		}
	}
	return img
}
