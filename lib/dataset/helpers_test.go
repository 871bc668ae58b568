package dataset

import (
	"image"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/imageio/imagetest"
)

// pngOf is a small gray picture of about one shade.
func pngOf(t testing.TB, shade uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 20, 15))
	for i := range m.Pix {
		m.Pix[i] = shade + uint8(i%7)
	}
	return imagetest.PNG(t, m)
}

// write makes a file and the folders above it.
func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// drawn is a data set of n gray arrays with as many classes, each picture of another shade.
func drawn(t testing.TB, n, classes int) *Dataset {
	t.Helper()
	const h, w = 24, 32
	a := Arrays{N: n, Height: h, Width: w, Channels: 1}
	for i := range n {
		for p := range h * w {
			a.Uint8 = append(a.Uint8, uint8(i*5+p%w*3+p/w*2))
		}
		a.Labels = append(a.Labels, int64(i%classes))
	}
	d, err := FromArrays(a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
