package imageio

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"

	"libdsl/lib/errs"
)

// DefaultMaxPixels limits pictures when the caller gives no limit: 100 megapixels, 300 MB of RGB.
const DefaultMaxPixels = 100_000_000

// maxFileBytes bounds what is read into memory; a 100-megapixel 16-bit RGB PNG stored uncompressed has 600 MB.
const maxFileBytes = 1 << 30

// Format is what the first bytes of a file say it is.
type Format string

// The formats that are told apart. Only JPEG and PNG are decoded.
const (
	JPEG     Format = "JPEG"
	PNG      Format = "PNG"
	GIF      Format = "GIF"
	BMP      Format = "BMP"
	TIFF     Format = "TIFF"
	WebP     Format = "WebP"
	JPEG2000 Format = "JPEG 2000"
	DICOM    Format = "DICOM"
	Unknown  Format = ""
)

// Sniff tells the format from the first bytes of a file; 132 are enough.
func Sniff(head []byte) Format {
	has := func(at int, s string) bool { return len(head) >= at+len(s) && string(head[at:at+len(s)]) == s }
	switch {
	case has(0, "\xff\xd8\xff"):
		return JPEG
	case has(0, "\x89PNG\r\n\x1a\n"):
		return PNG
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return GIF
	case has(0, "II*\x00"), has(0, "MM\x00*"), has(0, "II+\x00"), has(0, "MM\x00+"):
		return TIFF
	case has(0, "RIFF") && has(8, "WEBP"):
		return WebP
	case has(0, "\x00\x00\x00\x0cjP  "), has(0, "\xff\x4f\xff\x51"):
		return JPEG2000
	case has(128, "DICM"):
		return DICOM
	case has(0, "BM") && len(head) >= 26 && bytes.Equal(head[6:10], make([]byte, 4)): // two reserved fields, always 0
		return BMP
	}
	return Unknown
}

// DecodeFile reads and decodes a file; see Decode. Messages name the file by its base name.
// Errors besides Decode's: NotFound, IO; Invalid for a folder or a file above 1 GiB.
func DecodeFile(path string, maxPixels int) (*Image, error) {
	return new(Decoder).DecodeFile(path, maxPixels)
}

// Decode turns the bytes of a JPEG or PNG file into a picture; name is for messages only. maxPixels is checked from the
// header before pixels are allocated; 0 means DefaultMaxPixels.
//
//   - JPEG: gray, YCbCr, RGB, CMYK and YCCK (converted without colour profile), baseline and progressive, 8 bits. Any
//     warning of the decoder, such as a cut file, is an error, and so is a progressive file that ends before its last scans.
//   - PNG: all kinds. 16-bit samples are scaled to 8 bits over the full range (for a window, use FromArray). Alpha is
//     dropped, not blended: the colour stored under a transparent pixel is the colour you get, as with Pillow's
//     convert("RGB"). Colour profiles and gamma are not applied.
//
// EXIF orientation (in JPEG's APP1 and PNG's eXIf) is applied; an unreadable EXIF block counts as none.
// Errors: Unsupported (another format, named), Corrupt (damaged or cut), Invalid (above the limit).
func Decode(name string, data []byte, maxPixels int) (*Image, error) {
	return new(Decoder).decode(name, data, maxPixels, 0)
}

// decode is Decode for a side of 0. Otherwise the picture is for Evaluate to that side only: what that does not read is unspecified.
func (d *Decoder) decode(name string, data []byte, maxPixels, side int) (*Image, error) {
	if maxPixels <= 0 {
		maxPixels = DefaultMaxPixels
	}
	if len(data) == 0 {
		return nil, errs.New(errs.Corrupt, "imageio: image %q: got an empty file, want a JPEG or PNG", name)
	}
	switch f := Sniff(data); f {
	case JPEG:
		return d.jpeg(name, data, maxPixels, side)
	case PNG:
		return d.png(name, data, maxPixels)
	case Unknown:
		return nil, errs.New(errs.Unsupported, "imageio: image %q: got a file that is no known image, want JPEG or PNG", name)
	case DICOM:
		return nil, errs.New(errs.Unsupported,
			"imageio: image %q: got DICOM, want JPEG or PNG; Python's dsl.read_dicom reads it, others pass its pixels as an array with a window", name)
	default:
		return nil, errs.New(errs.Unsupported, "imageio: image %q: got %s, want JPEG or PNG; convert it to PNG", name, f)
	}
}

func (d *Decoder) readFile(path, name string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fileError(name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, errs.New(errs.Invalid, "imageio: image %q: got a folder or device, want a file", name)
	}
	if st.Size() > maxFileBytes {
		return nil, errs.New(errs.Invalid, "imageio: image %q: got %d bytes, want at most %d", name, st.Size(), maxFileBytes)
	}
	data := d.file.bytes(int(st.Size()))
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fileError(name, err)
	}
	return data, nil
}

// fileError strips the path, which can carry a patient's name, from what the system says.
func fileError(name string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "imageio: image %q: there is no such file", name)
	}
	return errs.Wrap(errs.IO, err, "imageio: image %q: cannot read it", name)
}

func tooLarge(name string, width, height, maxPixels int) error {
	if width > 0 && height > 0 && int64(width)*int64(height) <= int64(maxPixels) {
		return nil
	}
	return errs.New(errs.Invalid, "imageio: image %q: got %d×%d pixels, want 1 to %d pixels in all", name, width, height, maxPixels)
}
