package dataset

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/imageio/imagetest"
	"libdsl/lib/rng"
)

func TestFolderPerClass(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "nevus", "b.png"), pngOf(t, 1))
	write(t, filepath.Join(dir, "nevus", "a.png"), pngOf(t, 2))
	write(t, filepath.Join(dir, "nevus", "deep", "c"), pngOf(t, 3)) // no extension: the bytes tell
	write(t, filepath.Join(dir, "nevus", "notes.txt"), []byte("notes"))
	write(t, filepath.Join(dir, "akiec", "cut.jpg"), nil) // damaged, but an image: Check names it
	write(t, filepath.Join(dir, "README"), []byte("read me"))
	write(t, filepath.Join(dir, ".cache", "a.png"), pngOf(t, 1))
	if err := os.Mkdir(filepath.Join(dir, "void"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range d.Samples {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"cut.jpg", "a.png", "b.png", "c"}) || !slices.Equal(d.ClassNames, []string{"akiec", "nevus"}) {
		t.Errorf("got %q of %q", names, d.ClassNames)
	}
	if !slices.Equal(d.Labels([]int{0, 1, 2, 3}), []int64{0, 1, 1, 1}) {
		t.Errorf("labels of %+v", d.Samples)
	}
	told := strings.Join(d.Warnings, "\n")
	for _, want := range []string{"notes.txt", "README", "2 files", `"void"`} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not reported: %s", want, told)
		}
	}
}

func TestFolderRefuses(t *testing.T) {
	splits := t.TempDir()
	write(t, filepath.Join(splits, "train", "a.png"), pngOf(t, 1))
	write(t, filepath.Join(splits, "test", "b.png"), pngOf(t, 1))
	for name, dir := range map[string]string{"folders named like splits": splits, "an empty folder": t.TempDir()} {
		if _, err := Open(dir); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}

func TestArraysOfAllKinds(t *testing.T) {
	base := Arrays{N: 2, Height: 1, Width: 2, Channels: 1, Labels: []int64{1, 0}}
	u8, u16, f32, rgb := base, base, base, base
	u8.Uint8 = []uint8{0, 10, 20, 255}
	u16.Uint16, u16.Window = []uint16{0, 1, 2, 3}, imageio.Window{Lo: 0, Hi: 3}
	f32.Float32 = []float32{0, 0.2, 0.4, 1}
	rgb.Channels, rgb.Uint8 = 3, []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for _, c := range []struct {
		name string
		a    Arrays
		want []uint8 // of the second picture
	}{
		{"uint8", u8, []uint8{20, 20, 20, 255, 255, 255}},
		{"uint16 with a window", u16, []uint8{170, 170, 170, 255, 255, 255}},
		{"float32", f32, []uint8{102, 102, 102, 255, 255, 255}},
		{"RGB", rgb, []uint8{7, 8, 9, 10, 11, 12}},
	} {
		d, err := FromArrays(c.a)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // decoded, then from the cache
			img, err := d.Decode(1)
			if err != nil || !slices.Equal(img.Pix, c.want) {
				t.Errorf("%s: got %v, %v, want %v", c.name, img, err, c.want)
			}
		}
		if _, err := d.Decode(2); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: index 2 of 2: got %v", c.name, err)
		}
	}
}

func TestArraysRefuse(t *testing.T) {
	good := func() Arrays {
		return Arrays{Uint8: make([]uint8, 12), N: 3, Height: 2, Width: 2, Channels: 1, Labels: []int64{0, 1, 1}}
	}
	if _, err := FromArrays(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Arrays){
		"no pixels":              func(a *Arrays) { a.Uint8 = nil },
		"two kinds of pixels":    func(a *Arrays) { a.Float32 = make([]float32, 12) },
		"two channels":           func(a *Arrays) { a.Channels, a.Width = 2, 1 },
		"too few pixels":         func(a *Arrays) { a.Uint8 = a.Uint8[1:] },
		"a shape that overflows": func(a *Arrays) { a.Height, a.Width, a.N = math.MaxInt, math.MaxInt, math.MaxInt },
		"no pictures":            func(a *Arrays) { a.N = 0 },
		"a label too few":        func(a *Arrays) { a.Labels = a.Labels[1:] },
		"a negative label":       func(a *Arrays) { a.Labels[1] = -1 },
		"a huge label":           func(a *Arrays) { a.Labels[1] = 1 << 40 },
		"an unnamed class":       func(a *Arrays) { a.ClassNames = []string{"x"} },
		"two classes of a name":  func(a *Arrays) { a.ClassNames = []string{"x", "x"} },
		"a split too few":        func(a *Arrays) { a.Splits = make([]Split, 2) },
		"an unknown split":       func(a *Arrays) { a.Splits = []Split{0, 1, 9} },
		"a group too few":        func(a *Arrays) { a.Groups = make([]int64, 2) },
	} {
		a := good()
		spoil(&a)
		if _, err := FromArrays(a); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}

func TestFromImages(t *testing.T) {
	img := &imageio.Image{Width: 1, Height: 1, Pix: []uint8{1, 2, 3}, Orientation: imageio.Upright}
	d, err := FromImages([]Labelled{{Image: img, Split: Train, Group: "p"}, {Image: img, Label: 1, Split: Test}}, map[int64]string{1: "mel"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.Decode(1); got != img || err != nil || d.ClassNames[1] != "mel" || d.Samples[0].Group != 0 || d.Samples[1].Group != NoGroup {
		t.Errorf("got %v, %v, %+v", got, err, d)
	}
	for name, m := range map[string]Labelled{"no picture": {}, "a negative label": {Image: img, Label: -1},
		"an unknown split": {Image: img, Split: 7}, "a picture cut off": {Image: &imageio.Image{Width: 2, Height: 2, Pix: img.Pix}}} {
		if _, err := FromImages([]Labelled{m}, nil); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}

// npy reads a NumPy file of format 1.0: its header's length is at byte 8, the values follow the header.
func npy(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data[10+int(data[8])+int(data[9])<<8:]
}

func TestMedNISTFromArraysToBatches(t *testing.T) {
	dir := imagetest.Folder(t, "mednist")
	a := Arrays{Uint8: npy(t, filepath.Join(dir, "val_images.npy")), N: 600, Height: 64, Width: 64, Channels: 1}
	raw := npy(t, filepath.Join(dir, "val_labels.npy"))
	for i := range a.N {
		a.Labels = append(a.Labels, int64(binary.LittleEndian.Uint64(raw[8*i:])))
	}
	d, err := FromArrays(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.HoldOut(1, DefaultValShare, DefaultTestShare); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(context.Background(), CheckOptions{}); err != nil {
		t.Fatal(err)
	}
	// 6 classes of 100: 20 of each are held out for the test, 12 of the other 80 for validation
	train := d.Indices(Train)
	if len(train) != 6*68 || len(d.Indices(Val)) != 6*12 || len(d.Indices(Test)) != 6*20 {
		t.Errorf("got %d, %d, %d images", len(train), len(d.Indices(Val)), len(d.Indices(Test)))
	}
	s, err := NewSampler(train, d.Labels(train), 4, 8, rng.New(1, "sampler"))
	if err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, d, LoaderOptions{Size: 32, Batch: 32})
	if err := l.Push(0, draw(t, s)); err != nil {
		t.Fatal(err)
	}
	b := next(t, l)
	for place, i := range b.Indices {
		if b.Labels[place] != a.Labels[i] || d.Samples[i].Split != Train {
			t.Fatalf("place %d: sample %d with label %d", place, i, b.Labels[place])
		}
		// the crop's mean is near the array's own over the same centre, 4 of 64 pixels off each side
		var want, got float64
		for y := 4; y < 60; y++ {
			for x := 4; x < 60; x++ {
				want += float64(a.Uint8[(i*64+y)*64+x]) / (56 * 56)
			}
		}
		for _, v := range b.Pix[place*3*32*32:][:3*32*32] {
			got += float64(v) / (3 * 32 * 32)
		}
		if math.Abs(got-want) > 6 { // the crop is 55.4 pixels, and borders can be bright
			t.Errorf("place %d: mean level %v, want about %v", place, got, want)
		}
	}
}
