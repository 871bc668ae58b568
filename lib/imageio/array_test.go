package imageio

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
)

func TestFromArray(t *testing.T) {
	gray := func(v ...uint8) []uint8 {
		var out []uint8
		for _, g := range v {
			out = append(out, g, g, g)
		}
		return out
	}
	layout := Layout{Height: 2, Width: 2, Channels: 1}
	for _, c := range []struct {
		name string
		make func() (*Image, error)
		want []uint8
	}{
		{"gray becomes three equal channels", func() (*Image, error) {
			return FromArray([]uint8{0, 7, 200, 255}, layout, Window{})
		}, gray(0, 7, 200, 255)},
		{"uint16 without a window uses the full range", func() (*Image, error) {
			return FromArray([]uint16{0, 128, 257 * 9, 65535}, layout, Window{})
		}, gray(0, 0, 9, 255)},
		{"uint16 outside its window is clamped", func() (*Image, error) {
			return FromArray([]uint16{900, 1000, 1500, 5000}, layout, Window{1000, 2000})
		}, gray(0, 0, 128, 255)},
		{"float32 without a window is 0 to 1", func() (*Image, error) {
			return FromArray([]float32{-3, 0.5, 1, float32(math.Inf(1))}, layout, Window{})
		}, gray(0, 128, 255, 255)},
		{"a window below zero works, as for Hounsfield units", func() (*Image, error) {
			return FromArray([]float32{-160, 40, 240, -1000}, layout, Window{-160, 240})
		}, gray(0, 128, 255, 0)},
		{"a stride skips the end of each row", func() (*Image, error) {
			return FromArray([]uint8{1, 2, 99, 3, 4}, Layout{2, 2, 1, 3}, Window{})
		}, gray(1, 2, 3, 4)},
		{"RGB keeps its channels", func() (*Image, error) {
			return FromArray([]uint8{1, 2, 3, 4, 5, 6}, Layout{Height: 1, Width: 2, Channels: 3}, Window{})
		}, []uint8{1, 2, 3, 4, 5, 6}},
	} {
		img, err := c.make()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !slices.Equal(img.Pix, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, img.Pix, c.want)
		}
	}
}

func TestFromArrayRefuses(t *testing.T) {
	nan := float32(math.NaN())
	four := []float32{0, 0, 0, 0}
	for _, c := range []struct {
		name string
		pix  []float32
		l    Layout
		w    Window
	}{
		{"nothing", nil, Layout{2, 2, 1, 0}, Window{}},
		{"two channels", four, Layout{1, 2, 2, 0}, Window{}},
		{"no rows", four, Layout{0, 2, 1, 0}, Window{}},
		{"a negative width", four, Layout{2, -2, 1, 0}, Window{}},
		{"too few values", four[:3], Layout{2, 2, 1, 0}, Window{}},
		{"too few values for the stride", four, Layout{2, 2, 1, 3}, Window{}},
		{"a stride below the row", four, Layout{2, 2, 1, 1}, Window{}},
		{"a negative stride", four, Layout{2, 2, 1, -2}, Window{}},
		{"sizes whose product overflows", four, Layout{math.MaxInt / 2, math.MaxInt / 2, 3, 0}, Window{}},
		{"a huge stride", four, Layout{2, 2, 1, math.MaxInt}, Window{}},
		{"NaN", []float32{0, nan, 0, 0}, Layout{2, 2, 1, 0}, Window{}},
		{"an empty window", four, Layout{2, 2, 1, 0}, Window{3, 3}},
		{"a window upside down", four, Layout{2, 2, 1, 0}, Window{3, 1}},
		{"a window of NaN", four, Layout{2, 2, 1, 0}, Window{nan, 1}},
		{"an endless window", four, Layout{2, 2, 1, 0}, Window{0, float32(math.Inf(1))}},
	} {
		if _, err := FromArray(c.pix, c.l, c.w); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", c.name, err)
		}
	}
}
