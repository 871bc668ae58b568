package imageio

// #cgo LDFLAGS: -ljpeg
// #include "jpeg.h"
import "C"

import "libdsl/lib/errs"

// jpeg decodes with a state of libjpeg's own for each file: making one takes a thousandth of the decoding, and one that was
// used before lends its tables to a file that has none. With a side, pixels that Evaluate to it does not read are unspecified.
func (d *Decoder) jpeg(name string, data []byte, maxPixels, side int) (*Image, error) {
	head := scanJPEG(data)
	if err := head.supported(name); err != nil {
		return nil, err
	}
	var answer C.dsl_jpeg_answer
	src, n := first[C.uchar](data), C.ulong(len(data))
	if status := C.dsl_jpeg_size(src, n, &answer); status != C.DSL_JPEG_OK {
		return nil, failedJPEG(name, status, &answer)
	}
	width, height := int(answer.width), int(answer.height)
	if err := tooLarge(name, width, height, maxPixels); err != nil {
		return nil, err
	}
	channels := 3
	if head.components == 4 {
		channels = 4
	}
	pix := d.stored.bytes(channels * width * height)
	p := head.needed(width, height, side)
	part := C.dsl_jpeg_part{C.int(p.x), C.int(p.y), C.int(p.w), C.int(p.h)}
	if status := C.dsl_jpeg_pixels(src, n, &answer, first[C.uchar](pix), C.int(channels), part); status != C.DSL_JPEG_OK {
		return nil, failedJPEG(name, status, &answer)
	}
	if progressive := head.frame == 0xC2 || head.frame == 0xCA; progressive && !wholeProgression(data[head.scans:], head.components) {
		return nil, damagedJPEG(name, "its last scans are missing")
	}
	if channels == 4 {
		pix = cmykToRGB(pix, head.adobe)
	}
	return d.upright(pix, width, height, head.orientation), nil
}

func failedJPEG(name string, status C.int, answer *C.dsl_jpeg_answer) error {
	why := C.GoString(&answer.message[0])
	if status == C.DSL_JPEG_MEMORY {
		return errs.New(errs.OutOfMemory, "imageio: image %q: no memory to decode a JPEG (%s)", name, why)
	}
	return damagedJPEG(name, why)
}

func damagedJPEG(name, why string) error {
	return errs.New(errs.Corrupt, "imageio: image %q: got a damaged or cut JPEG (%s), want a whole one", name, why)
}

// cmykToRGB is the conversion without a colour profile, R = (255−C)(255−K)/255, in place: RGB takes less room. Adobe's
// files store the complements.
func cmykToRGB(cmyk []uint8, complements bool) []uint8 {
	rgb := cmyk[:len(cmyk)/4*3]
	flip := uint8(255)
	if complements {
		flip = 0
	}
	for i := 0; i < len(cmyk)/4; i++ {
		p := cmyk[4*i : 4*i+4]
		k := uint32(p[3] ^ flip)
		for c := range 3 {
			rgb[3*i+c] = uint8((uint32(p[c]^flip)*k + 127) / 255)
		}
	}
	return rgb
}

// jpegHead is what the markers before the first scan say.
type jpegHead struct {
	frame       byte // the SOFn marker, 0 when there is none
	precision   int  // bits a sample
	components  int
	adobe       bool // an APP14 segment of Adobe
	scans       int  // where the first scan's marker is, 0 when there is none
	orientation Orientation
}

// needed is the part of the stored pixels that Evaluate to side reads, or all of them for side 0.
func (h jpegHead) needed(width, height, side int) rect {
	if side == 0 {
		return rect{0, 0, width, height}
	}
	w, high := h.orientation.Stored(width, height)
	return h.orientation.storedRect(evaluated(w, high, side), width, height)
}

// supported refuses, by name, what libjpeg-turbo would refuse with a less helpful message.
func (h jpegHead) supported(name string) error {
	what := ""
	switch {
	case h.frame == 0: // no frame: the decoder says what is wrong
	case h.frame != 0xC0 && h.frame != 0xC1 && h.frame != 0xC2 && h.frame != 0xC9 && h.frame != 0xCA:
		what = "a lossless or hierarchical JPEG, want a baseline or progressive one"
	case h.precision != 8:
		what = "a JPEG with more or less than 8 bits a sample, want 8"
	case h.components != 1 && h.components != 3 && h.components != 4:
		what = "a JPEG with an odd number of channels, want 1, 3 or 4"
	default:
		return nil
	}
	if what == "" {
		return nil
	}
	return errs.New(errs.Unsupported, "imageio: image %q: got %s; convert it to PNG", name, what)
}

// scanJPEG walks the segments up to the first scan. It stops quietly where they make no sense: libjpeg-turbo, which
// reads the same bytes next, is the one to judge. Source: ITU-T T.81, annex B.
func scanJPEG(data []byte) jpegHead {
	head := jpegHead{orientation: Upright}
	seenEXIF := false
	for at := 2; at+4 <= len(data) && data[at] == 0xFF; {
		marker := data[at+1]
		if marker == 0xFF { // a fill byte
			at++
			continue
		}
		n := int(data[at+2])<<8 | int(data[at+3])
		if marker == 0xDA {
			head.scans = at
		}
		if marker == 0xDA || marker == 0xD9 || n < 2 || at+2+n > len(data) {
			break
		}
		segment := data[at+4 : at+2+n]
		switch {
		case marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC && len(segment) >= 6:
			head.frame, head.precision, head.components = marker, int(segment[0]), int(segment[5])
		case marker == 0xE1 && !seenEXIF && len(segment) > 6 && string(segment[:6]) == "Exif\x00\x00":
			seenEXIF = true
			head.orientation = exifOrientation(segment[6:])
		case marker == 0xEE && len(segment) >= 12 && string(segment[:5]) == "Adobe":
			head.adobe = true
		}
		at += 2 + n
	}
	return head
}
