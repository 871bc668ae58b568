package dsl

import (
	"bytes"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/imageio/imagetest"
)

// slopes is a picture of width×height pixels that has no two equal parts.
func slopes(width, height int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(3 * x), uint8(5 * y), uint8(x * y / 16), 255})
		}
	}
	return m
}

func TestFilesFillABatchAsTheirImagesDo(t *testing.T) {
	dir, size := t.TempDir(), 32
	var paths []string
	var images []*Image
	for name, data := range map[string][]byte{"wide.jpg": imagetest.JPEG(t, slopes(150, 70)), "tall.jpg": imagetest.JPEG(t, slopes(60, 190)),
		"square.png": imagetest.PNG(t, slopes(64, 64))} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := LoadImage(path)
		if err != nil {
			t.Fatal(err)
		}
		paths, images = append(paths, path), append(images, m)
	}
	one := 3 * size * size
	want, got := make([]byte, 3*one), make([]byte, 3*one)
	if err := evaluated(t.Context(), newWorkers(2, size), given(images))(0, 3, want); err != nil {
		t.Fatal(err)
	}
	fill := evaluated(t.Context(), newWorkers(2, size), files(append(paths, filepath.Join(dir, "missing.jpg"))))
	if err := fill(1, 2, got[one:]); err != nil {
		t.Fatal(err)
	}
	if err := fill(0, 1, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the files' pixels differ from their images'")
	}
	if err := fill(2, 2, got); errs.KindOf(err) != errs.NotFound || !strings.Contains(err.Error(), "row 3") {
		t.Errorf("got %v, want NotFound in row 3", err)
	}
}
