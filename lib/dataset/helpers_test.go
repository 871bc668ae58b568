package dataset

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// dataDir is the folder of shared test data; the test is skipped where it is missing.
func dataDir(t testing.TB, sub string) string {
	t.Helper()
	root := os.Getenv("DSL_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s in ../shared/data beside the repository, nor in $DSL_DATA", sub)
	}
	return dir
}

// pngOf is a small picture of one colour.
func pngOf(t testing.TB, shade uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 20, 15))
	for i := range m.Pix {
		m.Pix[i] = shade + uint8(i%7)
	}
	m.SetGray(0, 0, color.Gray{Y: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
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
