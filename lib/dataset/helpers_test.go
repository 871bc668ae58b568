package dataset

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
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

// pngOf is a small gray picture of about one shade. It is put together by hand, because image/png belongs to imageio.
func pngOf(t testing.TB, shade uint8) []byte {
	t.Helper()
	const w, h = 20, 15
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	for y := range h {
		row := []byte{0} // no filter
		for x := range w {
			row = append(row, shade+uint8((y*w+x)%7))
		}
		if _, err := z.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, c := range []struct {
		kind string
		body []byte
	}{{"IHDR", []byte{0, 0, 0, w, 0, 0, 0, h, 8, 0, 0, 0, 0}}, {"IDAT", packed.Bytes()}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(c.body)))
		out = append(append(out, c.kind...), c.body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[len(out)-len(c.body)-4:]))
	}
	return out
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
