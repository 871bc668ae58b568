package imageio

import (
	"bytes"
	"encoding/binary"
	"image"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio/imagetest"
)

// kinds are files of all kinds that take different memory.
func kinds(t *testing.T) (names []string, files [][]byte) {
	for name, data := range map[string][]byte{
		"colour.jpg": imagetest.JPEG(t, quarters()),
		"turned.jpg": withEXIF(imagetest.JPEG(t, quarters()), tiffWith(binary.LittleEndian, "II", 6)),
		"gray.png":   imagetest.PNG(t, image.NewGray(image.Rect(0, 0, 9, 70))),
		"colour.png": imagetest.PNG(t, quarters()),
		"cut.jpg":    imagetest.JPEG(t, quarters())[:600],
		"text.txt":   []byte("path,label\n"),
		"empty.png":  nil,
	} {
		names, files = append(names, name), append(files, data)
	}
	return names, files
}

func TestADecoderGivesTheSamePicturesWhateverItDecodedBefore(t *testing.T) {
	dir := t.TempDir()
	names, files := kinds(t)
	for i, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), files[i], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, before := range names {
		for i, name := range names {
			var d Decoder
			d.DecodeFile(filepath.Join(dir, before), 0)
			got, err := d.DecodeFile(filepath.Join(dir, name), 0)
			want, wantErr := Decode(name, files[i], 0)
			if errs.KindOf(err) != errs.KindOf(wantErr) {
				t.Fatalf("%s after %s: got %v, want %v", name, before, err, wantErr)
			}
			if err == nil && (got.Geometry() != want.Geometry() || !bytes.Equal(got.Pix, want.Pix)) {
				t.Errorf("%s after %s: another picture than a fresh decoder's", name, before)
			}
		}
	}
}

// without gives a JPEG without its segments of one marker.
func without(data []byte, marker byte) []byte {
	out := bytes.Clone(data[:2])
	for at := 2; ; {
		n := 2 + int(binary.BigEndian.Uint16(data[at+2:]))
		if data[at+1] == 0xDA {
			return append(out, data[at:]...)
		}
		if data[at+1] != marker {
			out = append(out, data[at:at+n]...)
		}
		at += n
	}
}

// libjpeg keeps tables from one picture to the next in its handle, where files without any would find them.
func TestAFileWithoutTablesDoesNotGetThoseOfTheOneBefore(t *testing.T) {
	var d Decoder
	whole := imagetest.JPEG(t, quarters())
	const huffman, quantisation = 0xC4, 0xDB
	for _, marker := range []byte{huffman, quantisation} {
		bare := without(whole, marker)
		want, wantErr := new(Decoder).decode("bare.jpg", bare, 0, 0)
		if _, err := d.decode("whole.jpg", whole, 0, 0); err != nil {
			t.Fatal(err)
		}
		got, err := d.decode("bare.jpg", bare, 0, 0)
		if errs.KindOf(err) != errs.KindOf(wantErr) || err == nil && !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("without marker %x: got %v after a whole file, want %v", marker, err, wantErr)
		}
		if marker == quantisation && errs.KindOf(err) != errs.Corrupt {
			t.Errorf("without quantisation tables: got %v, want a Corrupt error", err)
		}
	}
}

func TestADecoderKeepsItsMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.jpg")
	if err := os.WriteFile(path, imagetest.JPEG(t, image.NewRGBA(image.Rect(0, 0, 600, 450))), 0o600); err != nil {
		t.Fatal(err)
	}
	var d Decoder
	first, err := d.DecodeFile(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.DecodeFile(path, 0)
	if err != nil || &again.Pix[0] != &first.Pix[0] {
		t.Errorf("got %v, want the same memory again", err)
	}
	if kept := first.Clone(); &kept.Pix[0] == &first.Pix[0] || !bytes.Equal(kept.Pix, first.Pix) || kept.Geometry() != first.Geometry() {
		t.Error("the clone is no picture of its own")
	}
	// the file's handle, its size, the header: all small
	if n := testing.AllocsPerRun(20, func() { d.DecodeFile(path, 0) }); n > 20 {
		t.Errorf("got %v allocations a picture, want 20 at most", n)
	}
}

func TestADecoderDoesNotKeepTheMemoryOfHugePictures(t *testing.T) {
	var s scratch
	if n := len(s.bytes(maxScratch + 1)); n != maxScratch+1 || cap(s) != 0 {
		t.Errorf("got %d bytes and kept %d, want none kept", n, cap(s))
	}
	if n := len(s.bytes(maxScratch)); n != maxScratch || cap(s) < n {
		t.Errorf("got %d bytes and kept %d, want them kept", n, cap(s))
	}
}
