package imageio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio/imagetest"
	"libdsl/lib/rng"
)

// textured has edges, slopes and noise in every channel.
func textured(width, height, channels int) []uint8 {
	s := rng.New(2, "textured")
	pix := make([]uint8, 0, width*height*channels)
	for y := range height {
		for x := range width {
			for c := range channels {
				pix = append(pix, uint8(x*(3+c)+y*(5-c)+(x/9+y/7)%2*60+s.IntN(64)))
			}
		}
	}
	return pix
}

// bothWays brings a file to size×size from all its pixels, and from those that are needed, with a decoder whose memory
// holds something else.
func bothWays(t *testing.T, name string, data []byte, size int) (whole, part []uint8, wholeErr, partErr error) {
	t.Helper()
	transform := func(d *Decoder, side int) ([]uint8, error) {
		img, err := d.decode(name, data, 1<<16, side)
		if err != nil {
			return nil, err
		}
		dst := make([]uint8, 3*size*size)
		return dst, new(Resizer).Evaluate(dst, img, size)
	}
	whole, wholeErr = transform(new(Decoder), 0)
	used := Decoder{stored: bytes.Repeat([]byte{0xAA}, 1<<17), turned: bytes.Repeat([]byte{0x55}, 1<<17)}
	part, partErr = transform(&used, size)
	return whole, part, wholeErr, partErr
}

func checkBothWays(t *testing.T, name string, data []byte, size int) error {
	t.Helper()
	whole, part, wholeErr, partErr := bothWays(t, name, data, size)
	if fmt.Sprint(wholeErr) != fmt.Sprint(partErr) || errs.KindOf(wholeErr) != errs.KindOf(partErr) {
		t.Errorf("%s to %d pixels: got the error %v, want %v", name, size, partErr, wholeErr)
	}
	if !bytes.Equal(whole, part) {
		t.Errorf("%s to %d pixels: other pixels than those of the whole picture", name, size)
	}
	return wholeErr
}

// encodings are all ways to store a picture that libjpeg-turbo has code of its own for.
func encodings() (all []imagetest.Encoding) {
	for _, e := range []imagetest.Encoding{{Channels: 1, Across: 1, Down: 1}, {Channels: 1, Across: 2, Down: 2}, {Channels: 3, Across: 1, Down: 1},
		{Channels: 3, Across: 2, Down: 1}, {Channels: 3, Across: 2, Down: 2}, {Channels: 3, Across: 1, Down: 2}, {Channels: 3, Across: 4, Down: 1},
		{Channels: 3, Across: 3, Down: 2}, {Channels: 3, Across: 1, Down: 4}, {Channels: 4, Across: 1, Down: 1}, {Channels: 4, Across: 2, Down: 2}} {
		for _, e.Progressive = range []bool{false, true} {
			for _, e.Arithmetic = range []bool{false, true} {
				for _, e.Restart = range []int{0, 3} {
					all = append(all, e)
				}
			}
		}
	}
	return all
}

func TestPartsOfAJPEGHaveThePixelsOfTheWhole(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {7, 5}, {17, 90}, {131, 33}, {200, 150}} {
		for _, e := range encodings() {
			name := fmt.Sprintf("%v %+v", size, e)
			data := imagetest.Encode(t, textured(size[0], size[1], e.Channels), size[0], size[1], e)
			for _, side := range []int{1, 16, 224} {
				if err := checkBothWays(t, name, data, side); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestPartsAreTurnedAsTheWhole(t *testing.T) {
	data := imagetest.Encode(t, textured(131, 70, 3), 131, 70, imagetest.Encoding{Channels: 3, Across: 2, Down: 2})
	for o := range uint16(9) {
		if err := checkBothWays(t, fmt.Sprint("orientation ", o), withEXIF(data, tiffWith(binary.LittleEndian, "II", o)), 32); err != nil {
			t.Error(err)
		}
	}
}

func TestOddImagesInParts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(imagetest.Folder(t, "images_odd"), "*.*"))
	if err != nil || len(files) < 80 {
		t.Fatalf("got %d files and %v, want the whole folder", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		checkBothWays(t, filepath.Base(path), data, 64)
	}
}

// Damage is found wherever it is: also above, below and beside what the transform shows.
func TestDamageIsFoundInPartsAsInTheWhole(t *testing.T) {
	for i, e := range []imagetest.Encoding{{Channels: 3, Across: 2, Down: 2}, {Channels: 3, Across: 2, Down: 1, Restart: 3},
		{Channels: 3, Across: 2, Down: 2, Progressive: true}, {Channels: 1, Across: 1, Down: 1}} {
		width, height := 24, 72
		if i%2 == 1 {
			width, height = height, width
		}
		data := imagetest.Encode(t, textured(width, height, e.Channels), width, height, e)
		for n := range len(data) - 1 {
			if checkBothWays(t, fmt.Sprintf("%+v cut to %d bytes", e, n), data[:n], 16) == nil {
				t.Fatalf("%+v: %d of %d bytes pass", e, n, len(data))
			}
		}
		found := 0
		for at := 2; at < len(data); at++ {
			damaged := bytes.Clone(data)
			damaged[at] ^= 0x55
			if checkBothWays(t, fmt.Sprintf("%+v with byte %d damaged", e, at), damaged, 16) != nil {
				found++
			}
		}
		if found < len(data)/20 {
			t.Errorf("%+v: only %d of %d damaged files are refused", e, found, len(data))
		}
	}
}

func TestEvaluateReadsNothingBesideItsPart(t *testing.T) {
	for _, c := range []struct {
		width, height, size int
		want                rect // torchvision's centre crop in the picture's pixels, widened by the filter
	}{{600, 450, 224, rect{102, 27, 396, 396}}, {450, 600, 224, rect{27, 102, 396, 396}}, {256, 256, 224, rect{15, 15, 226, 226}}, {1, 1, 9, rect{0, 0, 1, 1}}} {
		part := evaluated(c.width, c.height, c.size)
		if dx, dy := part.x-c.want.x, part.y-c.want.y; max(dx, -dx) > 2 || max(dy, -dy) > 2 || part.w > c.want.w+4 || part.h > c.want.h+4 {
			t.Errorf("%d×%d to %d: got %v, want about %v", c.width, c.height, c.size, part, c.want)
		}
		m := &Image{Width: c.width, Height: c.height, Pix: textured(c.width, c.height, 3)}
		other := m.Clone()
		for y := range c.height {
			for x := range c.width {
				if x < part.x || x >= part.x+part.w || y < part.y || y >= part.y+part.h {
					other.Pix[3*(y*c.width+x)] ^= 0xFF
				}
			}
		}
		want, got := make([]uint8, 3*c.size*c.size), make([]uint8, 3*c.size*c.size)
		var r Resizer
		if err := r.Evaluate(want, m, c.size); err != nil {
			t.Fatal(err)
		}
		if err := r.Evaluate(got, other, c.size); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d×%d to %d: got %v, want pixels that the rest of the picture does not change", c.width, c.height, c.size, err)
		}
	}
}

func TestEvaluateFileIsDecodingAndEvaluating(t *testing.T) {
	dir := t.TempDir()
	names, files := kinds(t)
	names, files = append(names, "missing.jpg"), append(files, nil)
	const size = 20
	var d Decoder
	var r Resizer
	for i, name := range names {
		path := filepath.Join(dir, name)
		if name != "missing.jpg" {
			if err := os.WriteFile(path, files[i], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, got := make([]uint8, 3*size*size), make([]uint8, 3*size*size)
		img, wantErr := DecodeFile(path, 0)
		if wantErr == nil {
			wantErr = r.Evaluate(want, img, size)
		}
		err := r.EvaluateFile(got, &d, path, 0, size)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || errs.KindOf(err) != errs.KindOf(wantErr) || !bytes.Equal(got, want) {
			t.Errorf("%s: got %v, want the pixels of Evaluate and %v", name, err, wantErr)
		}
	}
	path := filepath.Join(dir, "colour.jpg")
	dst := make([]uint8, 3*size*size)
	for name, err := range map[string]error{
		"no room":          r.EvaluateFile(nil, &d, path, 0, size),
		"no size":          r.EvaluateFile(nil, &d, path, 0, 0),
		"a size too large": r.EvaluateFile(dst, &d, path, 0, MaxSide+1),
		"too many pixels":  r.EvaluateFile(dst, &d, path, 40*24-1, size),
	} {
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func TestEvaluateFileKeepsItsMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jpg")
	if err := os.WriteFile(path, imagetest.JPEG(t, image.NewRGBA(image.Rect(0, 0, 600, 450))), 0o600); err != nil {
		t.Fatal(err)
	}
	var d Decoder
	var r Resizer
	dst := make([]uint8, 3*224*224)
	whole := testing.AllocsPerRun(20, func() { d.DecodeFile(path, 0) })
	if n := testing.AllocsPerRun(20, func() { r.EvaluateFile(dst, &d, path, 0, 224) }); n > whole {
		t.Errorf("got %v allocations a picture, want the %v of DecodeFile", n, whole)
	}
}
