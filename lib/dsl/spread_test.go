package dsl

import (
	"math"
	"testing"

	"libdsl/lib/imageio"
)

func TestASpreadMapSumsToItsGrid(t *testing.T) {
	for _, c := range []struct {
		name          string
		height, width int
		gh, gw        int
		orientation   imageio.Orientation
	}{
		{"many pixels to a cell", 97, 131, 7, 9, 1},
		{"a whole number of pixels to a cell", 32, 64, 4, 8, 1},
		{"one cell", 5, 3, 1, 1, 1},
		{"fewer pixels than cells", 3, 40, 8, 8, 1},
		{"one pixel", 1, 1, 4, 4, 1},
		{"a turned picture", 20, 33, 3, 5, 6},
	} {
		img := &Image{Width: c.width, Height: c.height, Pix: make([]uint8, 3*c.width*c.height), Orientation: c.orientation}
		grid := make([]float32, c.gh*c.gw)
		want := 0.0
		for i := range grid {
			grid[i] = float32(math.Sin(float64(3*i + 1)))
			want += float64(grid[i])
		}
		dst := make([]float32, c.width*c.height)
		if err := spread(img, grid, c.gh, c.gw, dst); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := 0.0
		for _, v := range dst {
			got += float64(v)
		}
		if math.Abs(got-want) > 1e-5 { // float32 values below 1, a few hundred of them
			t.Errorf("%s: got the sum %g, want %g", c.name, got, want)
		}
	}
}

func TestASpreadMapKeepsItsPlace(t *testing.T) {
	img := &Image{Width: 40, Height: 20, Pix: make([]uint8, 2400), Orientation: 1}
	grid := make([]float32, 2*4)
	grid[1*4+3] = 1 // the lower right corner
	dst := make([]float32, 800)
	if err := spread(img, grid, 2, 4, dst); err != nil {
		t.Fatal(err)
	}
	corner := 0.0
	for y := 10; y < 20; y++ {
		for x := 30; x < 40; x++ {
			corner += float64(dst[y*40+x])
		}
	}
	if corner < 0.7 || dst[0] != 0 { // a bilinear tent at the border keeps 7/8 of its mass along each axis
		t.Fatalf("got %g in the corner and %g opposite, want most of it and 0", corner, dst[0])
	}
}

func TestOriginalPixelsUndoTheOrientation(t *testing.T) {
	// displayed 3×2 of a file that stores 2×3 turned: orientation 6 shows the stored left column as the top row
	img := &Image{Width: 3, Height: 2, Orientation: 6, Pix: make([]uint8, 18)}
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 13)
	}
	h, w := OriginalSize(img)
	if h != 3 || w != 2 {
		t.Fatalf("got %d×%d, want 3×2", h, w)
	}
	out := make([]uint8, 18)
	if err := OriginalPixels(img, out); err != nil {
		t.Fatal(err)
	}
	for y := range img.Height {
		for x := range img.Width {
			sx, sy := y, h-1-x // EXIF 6: row 0 is the right side, column 0 the top
			for c := range 3 {
				if got, want := out[3*(sy*w+sx)+c], img.Pix[3*(y*img.Width+x)+c]; got != want {
					t.Fatalf("stored (%d, %d) channel %d: got %d, want %d", sx, sy, c, got, want)
				}
			}
		}
	}
	if err := OriginalPixels(img, out[:17]); err == nil {
		t.Fatal("17 bytes were room enough for 18")
	}
}
