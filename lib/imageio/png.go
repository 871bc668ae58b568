package imageio

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"

	"libdsl/lib/errs"
)

func (d *Decoder) png(name string, data []byte, maxPixels int) (*Image, error) {
	cfg, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, damagedPNG(name, err)
	}
	if err := tooLarge(name, cfg.Width, cfg.Height, maxPixels); err != nil {
		return nil, err
	}
	// Deflate packs at most 1032:1, and a pixel takes at least one bit: a small file cannot hold a large picture.
	if int64(cfg.Width)*int64(cfg.Height)/8 > 1032*int64(len(data)) {
		return nil, errs.New(errs.Corrupt, "imageio: image %q: got %d bytes for %d×%d pixels, which is a cut or crafted PNG",
			name, len(data), cfg.Width, cfg.Height)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, damagedPNG(name, err)
	}
	pix := d.stored.bytes(3 * cfg.Width * cfg.Height)
	if !fillRGB(pix, m) {
		return nil, errs.New(errs.Internal, "imageio: image %q: got pixels of type %T from the PNG decoder", name, m)
	}
	return d.upright(pix, cfg.Width, cfg.Height, pngOrientation(data)), nil
}

func damagedPNG(name string, err error) error {
	return errs.Wrap(errs.Corrupt, err, "imageio: image %q: got a damaged or cut PNG, want a whole one", name)
}

// fillRGB writes the colours of each pixel kind that image/png gives, without alpha.
func fillRGB(dst []uint8, m image.Image) bool {
	switch m := m.(type) {
	case *image.Gray:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 1, func(d, s []uint8) { d[0], d[1], d[2] = s[0], s[0], s[0] })
	case *image.Gray16:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 2, func(d, s []uint8) {
			g := high(s[0], s[1])
			d[0], d[1], d[2] = g, g, g
		})
	case *image.RGBA: // image/png gives it for opaque colours only
		fillRows(dst, m.Rect, m.Pix, m.Stride, 4, func(d, s []uint8) { copy(d[:3], s) })
	case *image.NRGBA:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 4, func(d, s []uint8) { copy(d[:3], s) })
	case *image.RGBA64:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 8, high3)
	case *image.NRGBA64:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 8, high3)
	case *image.Paletted:
		fillRows(dst, m.Rect, m.Pix, m.Stride, 1, paletteFill(m.Palette))
	default:
		return false
	}
	return true
}

func fillRows(dst []uint8, r image.Rectangle, pix []uint8, stride, bytes int, put func(d, s []uint8)) {
	w, h := r.Dx(), r.Dy()
	for y := range h {
		for x := range w {
			put(dst[3*(y*w+x):], pix[y*stride+x*bytes:])
		}
	}
}

// high scales a big-endian 16-bit sample to 8 bits: round(v/257).
func high(hi, lo uint8) uint8 { return uint8((uint32(hi)<<8 | uint32(lo) + 128) / 257) }

func high3(d, s []uint8) { d[0], d[1], d[2] = high(s[0], s[1]), high(s[2], s[3]), high(s[4], s[5]) }

func paletteFill(p color.Palette) func(d, s []uint8) {
	var rgb [256][3]uint8 // an index outside the palette is black, as image/png has it
	for i, c := range p {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		if stored, ok := c.(color.NRGBA); ok {
			n = stored
		}
		rgb[i] = [3]uint8{n.R, n.G, n.B}
	}
	return func(d, s []uint8) { copy(d[:3], rgb[s[0]][:]) }
}

// pngOrientation looks for the eXIf chunk; image/png has checked the chunks' lengths and sums by now.
func pngOrientation(data []byte) Orientation {
	for at := uint64(8); at+12 <= uint64(len(data)); {
		n := uint64(binary.BigEndian.Uint32(data[at:]))
		if at+12+n > uint64(len(data)) {
			break
		}
		if string(data[at+4:at+8]) == "eXIf" {
			return exifOrientation(data[at+8 : at+8+n])
		}
		at += 12 + n
	}
	return Upright
}
