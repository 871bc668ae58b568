package imageio

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio/imagetest"
)

// meanDiff is the mean difference of two pictures' levels.
func meanDiff(t *testing.T, a, b *Image) float64 {
	t.Helper()
	if a.Width != b.Width || a.Height != b.Height || len(a.Pix) != len(b.Pix) {
		t.Fatalf("got %d×%d, want %d×%d", a.Width, a.Height, b.Width, b.Height)
	}
	sum := 0
	for i := range a.Pix {
		sum += max(int(a.Pix[i])-int(b.Pix[i]), int(b.Pix[i])-int(a.Pix[i]))
	}
	return float64(sum) / float64(len(a.Pix))
}

func TestOddImages(t *testing.T) {
	dir := imagetest.Folder(t, "images_odd")
	f, err := os.Open(filepath.Join(dir, "manifest.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 80 {
		t.Fatalf("got %d rows, want the whole manifest", len(rows))
	}
	for _, row := range rows[1:] {
		name, expect, format := row[0], row[1], row[2]
		t.Run(name, func(t *testing.T) {
			img, err := DecodeFile(filepath.Join(dir, name), 0)
			if err != nil && !strings.Contains(err.Error(), strconv.Quote(name)) {
				t.Errorf("the error does not name the file: %v", err)
			}
			switch {
			case expect == "error" && errs.KindOf(err) != errs.Corrupt:
				t.Errorf("got %v, want a Corrupt error", err)
			case name == "video-001.progressive.truncated.jpeg" && errs.KindOf(err) != errs.Corrupt:
				t.Errorf("got %v; libjpeg-turbo has no complaint about this one, but its last scans are missing", err)
			case expect == "odd" || expect == "error":
			case format != "JPEG" && format != "PNG":
				if errs.KindOf(err) != errs.Unsupported || !strings.Contains(strings.ToUpper(err.Error()), format) {
					t.Errorf("got %v, want Unsupported naming %s", err, format)
				}
			case err != nil:
				t.Error(err)
			default:
				checkDecoded(t, dir, row, img)
			}
		})
	}
}

// checkDecoded compares a picture with its row of the manifest.
func checkDecoded(t *testing.T, dir string, row []string, img *Image) {
	width, _ := strconv.Atoi(row[3])
	height, _ := strconv.Atoi(row[4])
	orientation, err := strconv.Atoi(row[6])
	if err != nil {
		orientation = 1
	}
	w, h := Orientation(orientation).Stored(width, height)
	if img.Width != w || img.Height != h || int(img.Orientation) != orientation {
		t.Fatalf("got %d×%d, orientation %d; want %d×%d, %d", img.Width, img.Height, img.Orientation, w, h, orientation)
	}
	reference, tolerance := row[7], 1.5 // levels on average: IDCT and chroma upsampling differ between decoders
	if strings.HasPrefix(row[0], "exif_orientation_") {
		reference, tolerance = "hopper.jpg", 5.0 // each is compressed anew; Pillow sees 4.9 too
	}
	if row[0] == "video-001.rgb.jpeg" {
		tolerance = 4.5 // its green and blue are stored at half size: smooth against plain upsampling; Pillow has the same 4.19
	}
	if reference != "" {
		want, err := DecodeFile(filepath.Join(dir, reference), 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := meanDiff(t, img, want); d > tolerance {
			t.Errorf("differs from %s by %.2f levels on average, want at most %v", reference, d, tolerance)
		}
	}
	if row[2] == "PNG" {
		checkAgainstStandard(t, filepath.Join(dir, row[0]), img)
	}
}

// checkAgainstStandard reads a PNG pixel by pixel through image.Image and un-multiplies alpha by hand.
func checkAgainstStandard(t *testing.T, path string, img *Image) {
	m := readPNG(t, path)
	for y := range img.Height {
		for x := range img.Width {
			c := color.NRGBA64Model.Convert(m.At(x, y)).(color.NRGBA64)
			if c.A == 0 {
				continue // un-multiplying lost the colour
			}
			for i, want := range []uint16{c.R, c.G, c.B} {
				got := int(img.Pix[3*(y*img.Width+x)+i])
				// 16 bits round to the nearest of 257 steps; un-multiplying small alphas rounds more coarsely
				slack := 129 + 65535/int(c.A)
				if d := got*257 - int(want); d > slack || d < -slack {
					t.Fatalf("pixel (%d,%d) channel %d: got %d, want %.1f", x, y, i, got, float64(want)/257)
				}
			}
		}
	}
}

// quarters is a 40×24 picture whose quarters are red, green, blue and gray, which survives JPEG.
func quarters() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 40, 24))
	colours := []color.RGBA{{200, 0, 0, 255}, {0, 180, 0, 255}, {0, 0, 220, 255}, {120, 120, 120, 255}}
	for y := range 24 {
		for x := range 40 {
			m.SetRGBA(x, y, colours[y/12*2+x/20])
		}
	}
	return m
}

// tiffWith is a TIFF block with a foreign entry and the orientation.
func tiffWith(order binary.AppendByteOrder, mark string, o uint16) []byte {
	b := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	b = order.AppendUint16(b, 2)
	for _, e := range [][2]uint16{{0x0100, 7}, {0x0112, o}} {
		b = order.AppendUint32(order.AppendUint16(order.AppendUint16(b, e[0]), 3), 1)
		b = order.AppendUint16(order.AppendUint16(b, e[1]), 0)
	}
	return order.AppendUint32(b, 0)
}

// withEXIF puts an EXIF block behind the start of a JPEG.
func withEXIF(data, tiff []byte) []byte {
	segment := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xFF, 0xD8, 0xFF, 0xE1}, uint16(len(segment)+2))
	return bytes.Join([][]byte{head, segment, data[2:]}, nil)
}

// withChunk puts a chunk behind the header of a PNG.
func withChunk(data []byte, kind string, body []byte) []byte {
	const header = 8 + 25
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	chunk = append(append(chunk, kind...), body...)
	chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
	return bytes.Join([][]byte{data[:header], chunk, data[header:]}, nil)
}

// corners are, of the displayed quarters, which one (1 red, 2 green, 3 blue, 4 gray) shows top left, top right, bottom
// left, bottom right, for each orientation. Written down by hand from the EXIF table: 6 means that the stored picture
// is turned clockwise to display it, so that the stored bottom left comes to the top left.
var corners = map[Orientation][4]int{1: {1, 2, 3, 4}, 2: {2, 1, 4, 3}, 3: {4, 3, 2, 1}, 4: {3, 4, 1, 2},
	5: {1, 3, 2, 4}, 6: {3, 1, 4, 2}, 7: {4, 2, 3, 1}, 8: {2, 4, 1, 3}}

func TestAllEightOrientations(t *testing.T) {
	for o, want := range corners {
		for name, data := range map[string][]byte{
			"little-endian JPEG": withEXIF(imagetest.JPEG(t, quarters()), tiffWith(binary.LittleEndian, "II", uint16(o))),
			"big-endian JPEG":    withEXIF(imagetest.JPEG(t, quarters()), tiffWith(binary.BigEndian, "MM", uint16(o))),
			"PNG":                withChunk(imagetest.PNG(t, quarters()), "eXIf", tiffWith(binary.BigEndian, "MM", uint16(o))),
		} {
			img, err := Decode(name, data, 0)
			if err != nil {
				t.Fatal(err)
			}
			if w, h := o.Stored(40, 24); img.Width != w || img.Height != h || img.Orientation != o {
				t.Fatalf("%s, orientation %d: got %d×%d, %d", name, o, img.Width, img.Height, img.Orientation)
			}
			for i, q := range want {
				x, y := img.Width/4+i%2*img.Width/2, img.Height/4+i/2*img.Height/2
				p := img.Pix[3*(y*img.Width+x):]
				if got := quarterOf(p); got != q {
					t.Errorf("%s, orientation %d: corner %d shows quarter %d (%v), want %d", name, o, i, got, p[:3], q)
				}
			}
		}
	}
}

func quarterOf(p []uint8) int {
	switch {
	case p[0] > 150 && p[1] < 80:
		return 1
	case p[1] > 150:
		return 2
	case p[2] > 150:
		return 3
	}
	return 4
}

func TestDamagedFiles(t *testing.T) {
	jpg, png := imagetest.JPEG(t, quarters()), imagetest.PNG(t, quarters())
	blank := imagetest.PNG(t, image.NewGray(image.Rect(0, 0, 2000, 2000)))
	huge := bytes.Clone(png)
	binary.BigEndian.PutUint32(huge[16:], 60000)
	binary.BigEndian.PutUint32(huge[20:], 60000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	thin := bytes.Clone(huge)
	binary.BigEndian.PutUint32(thin[16:], 9000)
	binary.BigEndian.PutUint32(thin[20:], 9000)
	binary.BigEndian.PutUint32(thin[29:], crc32.ChecksumIEEE(thin[12:29]))
	twelve := bytes.Clone(jpg)
	frame := bytes.Index(twelve, []byte{0xFF, 0xC0})
	twelve[frame+4] = 12
	lossless := bytes.Clone(jpg)
	lossless[frame+1] = 0xC3
	wide := bytes.Clone(jpg)
	copy(wide[frame+5:], []byte{0xEA, 0x60, 0xEA, 0x60})
	for _, c := range []struct {
		name string
		data []byte
		max  int
		want errs.Kind
	}{
		{"an empty file is corrupt", nil, 0, errs.Corrupt},
		{"text is no image", []byte("path,label\n"), 0, errs.Unsupported},
		{"a JPEG cut to its magic is corrupt", jpg[:3], 0, errs.Corrupt},
		{"a JPEG cut in the header is corrupt", jpg[:frame+6], 0, errs.Corrupt},
		{"a JPEG cut in the middle is corrupt", jpg[:len(jpg)*3/4], 0, errs.Corrupt},
		{"a JPEG without its end is corrupt", jpg[:len(jpg)-2], 0, errs.Corrupt},
		{"a JPEG cut in the middle with an end put on is corrupt", append(bytes.Clone(jpg[:len(jpg)*3/4]), 0xFF, 0xD9), 0, errs.Corrupt},
		{"a 12-bit JPEG is unsupported", twelve, 0, errs.Unsupported},
		{"a lossless JPEG is unsupported", lossless, 0, errs.Unsupported},
		{"a JPEG that claims 3.6 gigapixels is too large", wide, 0, errs.Invalid},
		{"a JPEG above the caller's limit is too large", jpg, 40*24 - 1, errs.Invalid},
		{"a PNG above the caller's limit is too large", png, 40*24 - 1, errs.Invalid},
		{"a PNG that claims 3.6 gigapixels is too large", huge, 0, errs.Invalid},
		{"a small PNG that claims 81 megapixels is corrupt", thin, 0, errs.Corrupt},
		{"a PNG cut in the middle is corrupt", png[:len(png)/2], 0, errs.Corrupt},
		{"a blank PNG, packed as tightly as can be, is fine", blank, 0, errs.OK},
		{"a JPEG at the caller's limit is fine", jpg, 40 * 24, errs.OK},
	} {
		_, err := Decode("x.img", c.data, c.max)
		if errs.KindOf(err) != c.want {
			t.Errorf("%s: got %v, want kind %v", c.name, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), `"x.img"`) {
			t.Errorf("%s: the message does not name the image: %v", c.name, err)
		}
	}
}

// A JPEG cut anywhere is an error: libjpeg alone would paint the rest gray.
func TestNoCutJPEGPasses(t *testing.T) {
	data := imagetest.JPEG(t, quarters())
	for n := range len(data) - 1 {
		if _, err := Decode("cut.jpg", data[:n], 0); err == nil {
			t.Fatalf("%d of %d bytes decode without an error", n, len(data))
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, path string
		want       errs.Kind
	}{
		{"a missing file is not found", filepath.Join(dir, "a.png"), errs.NotFound},
		{"a file in a missing folder is not found", filepath.Join(dir, "b", "a.png"), errs.NotFound},
		{"a folder is invalid", dir, errs.Invalid},
	} {
		_, err := DecodeFile(c.path, 0)
		if errs.KindOf(err) != c.want {
			t.Fatalf("%s: got %v, want kind %v", c.name, err, c.want)
		}
		if strings.Contains(err.Error(), filepath.Dir(dir)) {
			t.Errorf("%s: the message holds the path: %v", c.name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(imagetest.JPEG(f, quarters()))
	f.Add(imagetest.PNG(f, quarters()))
	f.Add(withEXIF(imagetest.JPEG(f, quarters()), tiffWith(binary.BigEndian, "MM", 6)))
	f.Add(withChunk(imagetest.PNG(f, quarters()), "eXIf", tiffWith(binary.LittleEndian, "II", 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := Decode("fuzz", data, 1<<20)
		if (img == nil) == (err == nil) {
			t.Fatalf("got %v and %v", img, err)
		}
		if err == nil && img.check() != nil {
			t.Fatal(img.check())
		}
		if k := errs.KindOf(err); k == errs.Internal {
			t.Fatal(err)
		}
	})
}
