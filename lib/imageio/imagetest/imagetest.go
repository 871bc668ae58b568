// Package imagetest makes image files for tests, and finds those that lie beside the repository. It must not know what it is to test: imageio.
package imagetest

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// Folder is a folder of the test data in $DSL_DATA, or in ../shared/data beside the repository, as seen from a package in lib. The test is skipped
// where it is missing.
func Folder(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("DSL_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	folder := filepath.Join(root, name)
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("no %s in ../shared/data beside the repository, nor in $DSL_DATA", name)
	}
	return folder
}

// PNG is a picture as a PNG file.
func PNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// JPEG is a picture as a JPEG file of quality 95.
func JPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
