package imageio

import (
	"bytes"
	"image"
	"math"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/rng"
)

// goldenPicture is picture() of testdata/pillow_golden.py.
func goldenPicture(width, height int) *Image {
	m := &Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height), Orientation: Upright}
	for y := range height {
		for x := range width {
			for c := range 3 {
				v := x*7 + y*13 + c*29 + (x*y)%31*5
				if (x/9+y/7)%3 == 0 {
					v = 255 - v%200
				}
				m.Pix[3*(y*width+x)+c] = uint8(v)
			}
		}
	}
	return m
}

// maxDiff is the largest difference of two pictures' levels.
func maxDiff(t *testing.T, got, want []uint8) int {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("got %d bytes, want %d", len(got), len(want))
	}
	d := 0
	for i := range got {
		d = max(d, int(got[i])-int(want[i]), int(want[i])-int(got[i]))
	}
	return d
}

func TestPillowParity(t *testing.T) {
	var r Resizer
	evaluate := func(m *Image, size int) []uint8 {
		dst := make([]uint8, 3*size*size)
		if err := r.Evaluate(dst, m, size); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	part := func(p rect, size int, mx, my bool) []uint8 {
		dst := make([]uint8, 3*size*size)
		r.resize(dst, goldenPicture(200, 150), p, size, size, rect{0, 0, size, size}, mx, my)
		return dst
	}
	short, err := r.ResizeShorter(goldenPicture(173, 90), 40)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][]uint8{
		"evaluate_shrink":  evaluate(goldenPicture(200, 150), 64),
		"evaluate_enlarge": evaluate(goldenPicture(23, 31), 48),
		"evaluate_odd":     evaluate(goldenPicture(61, 60), 32),
		"part":             part(rect{20, 30, 111, 85}, 64, false, false),
		"part_mirrored":    part(rect{20, 30, 111, 85}, 64, true, true),
		"part_thin":        part(rect{190, 0, 10, 150}, 40, true, false),
		"shorter":          short.Pix,
	} {
		want, err := DecodeFile(filepath.Join("testdata", "pillow_"+name+".png"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if d := maxDiff(t, got, want.Pix); d != 0 {
			t.Errorf("%s: differs by %d levels, want none", name, d)
		}
	}
}

// naiveResize is the triangle filter in float64, without rounding between the passes.
func naiveResize(m *Image, src rect, outW, outH, x, y, c int) float64 {
	weight := func(in, out, o, i int) float64 {
		scale := float64(in) / float64(out)
		return max(0, 1-math.Abs(float64(i)+0.5-(float64(o)+0.5)*scale)/max(scale, 1))
	}
	var sum, norm float64
	for j := range src.h {
		for i := range src.w {
			w := weight(src.w, outW, x, i) * weight(src.h, outH, y, j)
			sum += w * float64(m.Pix[3*((src.y+j)*m.Width+src.x+i)+c])
			norm += w
		}
	}
	return sum / norm
}

func TestResizeAgainstTheDumbestLoop(t *testing.T) {
	s := rng.New(1, "resize test")
	var r Resizer
	for range 40 {
		m := goldenPicture(1+s.IntN(40), 1+s.IntN(40))
		src := rect{s.IntN(m.Width), s.IntN(m.Height), 0, 0}
		src.w, src.h = 1+s.IntN(m.Width-src.x), 1+s.IntN(m.Height-src.y)
		outW, outH := 1+s.IntN(30), 1+s.IntN(30)
		win := rect{s.IntN(outW), s.IntN(outH), 0, 0}
		win.w, win.h = 1+s.IntN(outW-win.x), 1+s.IntN(outH-win.y)
		mx, my := s.IntN(2) == 1, s.IntN(2) == 1
		dst := make([]uint8, 3*win.w*win.h)
		r.resize(dst, m, src, outW, outH, win, mx, my)
		for y := range win.h {
			for x := range win.w {
				ox, oy := win.x+x, win.y+y
				if mx {
					ox = win.x + win.w - 1 - x
				}
				if my {
					oy = win.y + win.h - 1 - y
				}
				for c := range 3 {
					want := naiveResize(m, src, outW, outH, ox, oy, c)
					// half a level for each of the two roundings
					if got := float64(dst[3*(y*win.w+x)+c]); math.Abs(got-want) > 1.01 {
						t.Fatalf("%v of %d×%d to %d×%d at (%d,%d): got %v, want %v", src, m.Width, m.Height, outW, outH, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestAConstantPictureStaysConstant(t *testing.T) {
	for _, v := range []uint8{0, 1, 127, 255} {
		m := &Image{Width: 301, Height: 77, Pix: bytes.Repeat([]uint8{v}, 3*301*77)}
		dst := make([]uint8, 3*50*50)
		var r Resizer
		for name, err := range map[string]error{"evaluate": r.Evaluate(dst, m, 50), "augment": r.Augment(dst, m, 50, rng.New(1, "x"))} {
			if err != nil {
				t.Fatal(err)
			}
			if d := maxDiff(t, dst, bytes.Repeat([]uint8{v}, len(dst))); d != 0 {
				t.Errorf("%s of a picture of %d: off by %d", name, v, d)
			}
		}
	}
}

func TestTransformsDoNotAllocate(t *testing.T) {
	var r Resizer
	m, dst, s := goldenPicture(200, 150), make([]uint8, 3*64*64), rng.New(1, "x")
	// the largest scratch first: the whole picture
	r.resize(dst, m, rect{0, 0, 200, 150}, 64, 64, rect{0, 0, 64, 64}, false, false)
	if n := testing.AllocsPerRun(50, func() {
		if r.Evaluate(dst, m, 64) != nil || r.Augment(dst, m, 64, s) != nil {
			t.Error("failed")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkEvaluate600x450To224(b *testing.B) {
	var r Resizer
	m, dst := goldenPicture(600, 450), make([]uint8, 3*224*224)
	for b.Loop() {
		r.Evaluate(dst, m, 224)
	}
}

func BenchmarkAugment200x150To64(b *testing.B) {
	var r Resizer
	m, dst, s := goldenPicture(200, 150), make([]uint8, 3*64*64), rng.New(1, "x")
	for b.Loop() {
		r.Augment(dst, m, 64, s)
	}
}

// readPNG reads with the standard library, for comparison.
func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
