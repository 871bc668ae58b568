package imageio

import (
	"bytes"
	"math"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

func TestAugmentDrawsThePartsOfTheMethod(t *testing.T) {
	s := rng.New(3, "parts")
	const n, width, height = 4000, 400, 300
	area, seen := 0.0, map[bool]int{}
	for range n {
		p := randomPart(width, height, s)
		if p.x < 0 || p.y < 0 || p.w < 1 || p.h < 1 || p.x+p.w > width || p.y+p.h > height {
			t.Fatalf("%v leaves the picture", p)
		}
		share, aspect := float64(p.w*p.h)/(width*height), float64(p.w)/float64(p.h)
		// whole pixels move the limits by up to one pixel in 100
		if share < 0.079 || share > 1 || aspect < 0.735 || aspect > 1.36 {
			t.Fatalf("%v has the share %v and the aspect %v", p, share, aspect)
		}
		area += share / n
		seen[p.x+p.w/2 < width/2]++
	}
	// 0.4334 ± 0.2165 by a simulation in NumPy of torchvision's loop at 400×300; five deviations of the mean
	if math.Abs(area-0.4334) > 5*0.2165/math.Sqrt(n) {
		t.Errorf("mean share %v", area)
	}
	if math.Abs(float64(seen[true]-seen[false])) > n/8 {
		t.Errorf("left and right centres: %v", seen)
	}
}

func TestPicturesLongAndThinFallBackToTheCentre(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int
		want          rect
	}{
		{"a wide strip", 10000, 3, rect{4998, 0, 4, 3}},
		{"a tall strip", 3, 10000, rect{0, 4998, 3, 4}},
	} {
		if got := randomPart(c.width, c.height, rng.New(1, "x")); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAugmentUsesBothFlips(t *testing.T) {
	m := &Image{Width: 64, Height: 64, Pix: make([]uint8, 3*64*64)}
	for i := range m.Pix { // brighter to the right, and much brighter to the bottom
		m.Pix[i] = uint8(i/3%64 + i/3/64*2)
	}
	var r Resizer
	s, dst, seen := rng.New(5, "flips"), make([]uint8, 3*8*8), map[[2]bool]int{}
	for range 400 {
		if err := r.Augment(dst, m, 8, s); err != nil {
			t.Fatal(err)
		}
		seen[[2]bool{dst[0] > dst[3*7], dst[0] > dst[3*56]}]++
	}
	for which, n := range seen {
		if n < 60 { // a hundred each are expected, with a deviation of 9
			t.Errorf("flips %v: %d of 400", which, n)
		}
	}
	if len(seen) != 4 {
		t.Errorf("got %d kinds of flips, want 4", len(seen))
	}
}

func TestEqualStreamsAugmentEqually(t *testing.T) {
	m := goldenPicture(50, 40)
	a, b, c := make([]uint8, 3*256), make([]uint8, 3*256), make([]uint8, 3*256)
	var r, other Resizer
	if r.Augment(a, m, 16, rng.New(1, "x")) != nil || other.Augment(b, m, 16, rng.New(1, "x")) != nil || r.Augment(c, m, 16, rng.New(2, "x")) != nil {
		t.Fatal("failed")
	}
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("equal streams differ, or different ones agree")
	}
}

func TestTheSmallestAndTheOddestPictures(t *testing.T) {
	var r Resizer
	for _, size := range []int{1, 2, 7, 64} {
		dst := make([]uint8, 3*size*size)
		for _, m := range []*Image{goldenPicture(1, 1), goldenPicture(1, 5000), goldenPicture(5000, 1), goldenPicture(2, 3)} {
			if err := r.Evaluate(dst, m, size); err != nil {
				t.Error(err)
			}
			if err := r.Augment(dst, m, size, rng.New(1, "x")); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTransformsRefuse(t *testing.T) {
	var r Resizer
	m := goldenPicture(4, 4)
	_, strip := r.ResizeShorter(goldenPicture(1, 300000), 64)
	_, zero := r.ResizeShorter(m, 0)
	_, none := r.ResizeShorter(nil, 8)
	for name, err := range map[string]error{
		"a short buffer":     r.Evaluate(make([]uint8, 11), m, 2),
		"size 0":             r.Evaluate(nil, m, 0),
		"a huge size":        r.Evaluate(nil, m, math.MaxInt),
		"no picture":         r.Augment(make([]uint8, 12), nil, 2, rng.New(1, "x")),
		"a picture cut off":  r.Evaluate(make([]uint8, 12), &Image{Width: 4, Height: 4, Pix: m.Pix[:47]}, 2),
		"a strip too long":   strip,
		"a shorter side 0":   zero,
		"no whole picture":   none,
		"an empty picture":   r.Evaluate(make([]uint8, 12), &Image{}, 2),
		"a negative picture": r.Evaluate(make([]uint8, 12), &Image{Width: -1, Height: -1, Pix: make([]uint8, 3)}, 2),
	} {
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}
