package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/imageio/imagetest"
	"libdsl/lib/rng"
)

const maskW, maskH = 24, 16 // pixels of a mask in these tests

// findings is a data set of 12 pictures with masks: 6 for validation, 6 for the test. Even ones have a mask of their own size, the last has an
// empty one, and one more has none. Masks are off-centre rectangles.
func findings(t *testing.T) (d *dataset.Dataset, masks [][]bool) {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, m image.Image) {
		if err := os.WriteFile(filepath.Join(dir, name), imagetest.PNG(t, m), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines := []string{"path,label,mask,split"}
	for i := range 12 {
		mask := make([]bool, maskW*maskH)
		m := image.NewGray(image.Rect(0, 0, maskW, maskH))
		for p := range mask {
			x, y := p%maskW, p/maskW
			if i < 11 && x >= 2+i && x < 12+i && y >= 3 && y < 9+i%4 {
				mask[p] = true
				m.SetGray(x, y, color.Gray{Y: uint8(1 + 20*i)}) // any number but 0
			}
		}
		masks = append(masks, mask)
		put(fmt.Sprintf("m%d.png", i), m)
		p := image.NewGray(image.Rect(0, 0, maskW/(1+i%2), maskH/(1+i%2)))
		p.Pix[0] = uint8(i) // the picture's number
		put(fmt.Sprintf("p%d.png", i), p)
		lines = append(lines, fmt.Sprintf("p%d.png,0,m%d.png,%s", i, i, []string{"val", "test"}[i/6]))
	}
	put("bare.png", image.NewGray(image.Rect(0, 0, 3, 3)))
	lines = append(lines, "bare.png,0,,test")
	path := filepath.Join(dir, "manifest.csv")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, masks
}

// mapOf is a noisy map of picture i, darker in its mask, with a value for each pixel of the mask.
func mapOf(i int, mask []bool) []float32 {
	r := rng.New(7, fmt.Sprint("map", i))
	out := make([]float32, len(mask))
	for p := range out {
		v := 0.6 + 0.15*r.NormFloat64()
		if mask[p] {
			v -= 0.2
		}
		out[p] = float32(min(max(v, 0), 1))
	}
	return out
}

func mapsOf(masks [][]bool) MapFunc {
	return func(_ context.Context, img *imageio.Image) ([]float32, int, int, error) {
		i := int(img.Pix[0])
		return mapOf(i, masks[i]), maskH, maskW, nil
	}
}

// naiveScore is that of pixels below, or not below, a threshold.
func naiveScore(values []float32, mask []bool, threshold float64, below bool) MaskScore {
	var both, predicted, inside float64
	for p, v := range values {
		in := (float64(v) < threshold) == below
		if in && mask[p] {
			both++
		}
		if in {
			predicted++
		}
		if mask[p] {
			inside++
		}
	}
	if predicted+inside == 0 {
		return MaskScore{1, 1}
	}
	return MaskScore{2 * both / (predicted + inside), both / (predicted + inside - both)}
}

// naiveBest is the best of all thresholds, and of both sides where sides is 2, on the validation pictures 0 to 5.
func naiveBest(maps [][]float32, masks [][]bool, sides int) (threshold float64, below bool) {
	best := -1.0
	for side := range sides {
		for k := range 256 {
			mean := 0.0
			for i := range 6 {
				mean += naiveScore(maps[i], masks[i], float64(k)/256, side == 1).Dice / 6
			}
			if mean > best+1e-12 {
				best, threshold, below = mean, float64(k)/256, side == 1
			}
		}
	}
	return threshold, below
}

func near(a, b MaskScore) bool { return math.Abs(a.Dice-b.Dice)+math.Abs(a.IoU-b.IoU) < 1e-9 }

func TestMaskScoresAreThoseOfALoopAndChoicesThoseOfTheValidationImages(t *testing.T) {
	d, masks := findings(t)
	maps, discs := make([][]float32, 12), make([][]float32, 12)
	for i := range maps {
		maps[i] = mapOf(i, masks[i])
		for p := range masks[i] {
			dx, dy := float64(p%maskW)-11.5, float64(p/maskW)-7.5
			discs[i] = append(discs[i], float32(1-math.Sqrt(dx*dx+dy*dy)/math.Sqrt(12*12+8*8)))
		}
	}
	threshold, below := naiveBest(maps, masks, 2)
	radius, _ := naiveBest(discs, masks, 1)
	if !below {
		t.Fatal("the maps are dark in their masks, the oracle chose the bright side")
	}
	var last []byte
	for _, threads := range []int{1, 4} {
		r, err := ScoreMasks(context.Background(), d, d.Indices(dataset.Val), d.Indices(dataset.Test), mapsOf(masks), threads)
		if err != nil {
			t.Fatal(err)
		}
		if v := r.Validation; v.Threshold != threshold || v.Foreground != "below" || v.NumImages != 6 || v.DiscRadius != 1-radius {
			t.Fatalf("got the choice %+v, want the threshold %v below and the radius %v", v, threshold, 1-radius)
		}
		if r.NumImages != 6 || r.NumWithoutMask != 1 || r.NumEmptyMasks != 1 {
			t.Fatalf("got %d images, %d without a mask, %d empty masks", r.NumImages, r.NumWithoutMask, r.NumEmptyMasks)
		}
		var mean MaskScores
		hits := 0.0
		for k, got := range r.Images {
			i := 6 + k
			want := MaskScores{naiveScore(maps[i], masks[i], 0.5, true), naiveScore(maps[i], masks[i], got.OtsuThreshold, true),
				naiveScore(maps[i], masks[i], threshold, true), naiveScore(maps[i], masks[i], 2, true), naiveScore(discs[i], masks[i], radius, false)}
			mean.add(&want, 6)
			for rule, its := range got.each() {
				if !near(*its, *want.each()[rule]) {
					t.Errorf("%s, rule %d: got %v, want %v", got.Name, rule, *its, *want.each()[rule])
				}
			}
			lowest := 0
			for p, v := range maps[i] {
				if v < maps[i][lowest] {
					lowest = p
				}
			}
			if (got.Hit == nil) != (i == 11) || got.Hit != nil && *got.Hit != masks[i][lowest] {
				t.Errorf("%s: pointing: got %v", got.Name, got.Hit)
			}
			if got.Hit != nil && *got.Hit {
				hits++
			}
		}
		for rule, its := range r.Mean.each() {
			if !near(*its, *mean.each()[rule]) {
				t.Errorf("mean of rule %d: got %v, want %v", rule, *its, *mean.each()[rule])
			}
		}
		if r.Pointing == nil || *r.Pointing != hits/5 {
			t.Errorf("pointing game: got %v, want %v", r.Pointing, hits/5)
		}
		text, err := json.Marshal(r)
		if err != nil || last != nil && string(text) != string(last) {
			t.Errorf("with %d threads the report differs (%v)", threads, err)
		}
		last = text
	}
}

func TestAMapIsComparedInThePixelGridOfTheFile(t *testing.T) {
	// displayed 4×2 of a file that stores 2×4 turned: EXIF 6 shows the stored left column as the top row
	img := &imageio.Image{Width: 4, Height: 2, Orientation: 6, Pix: make([]uint8, 24)}
	mask := &imageio.Image{Width: 2, Height: 4, Orientation: imageio.Upright, Pix: make([]uint8, 24)}
	grid := []float32{0, 0, 0, 1, 0, 0, 0, 0} // the displayed upper right corner
	mask.Pix[3*0] = 255                       // is stored first
	j := maskJob{img: img, mask: mask, grid: grid, gh: 2, gw: 4}
	c, err := j.count()
	if err != nil {
		t.Fatal(err)
	}
	if o := c.values.At(128, 0); o.Dice() != 1 || o.Predicted != 1 {
		t.Fatalf("got %+v, want the pixel itself", o)
	}
	turned := &imageio.Image{Width: 4, Height: 2, Orientation: 6, Pix: make([]uint8, 24)} // the same mask in a file with an orientation
	turned.Pix[3*3] = 255
	j.mask = turned
	if c, err = j.count(); err != nil || c.values.At(128, 0).Dice() != 1 {
		t.Fatalf("a mask with an orientation: got %+v, %v", c, err)
	}
	j.mask = &imageio.Image{Width: 4, Height: 2, Orientation: imageio.Upright, Pix: make([]uint8, 24)}
	if _, err = j.count(); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "4×2") {
		t.Fatalf("a mask across its picture: got %v", err)
	}
}

func TestWhatCannotBeScoredAgainstMasksIsRefused(t *testing.T) {
	d, masks := findings(t)
	val, test := d.Indices(dataset.Val), d.Indices(dataset.Test)
	good := mapsOf(masks)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	broken := func(_ context.Context, _ *imageio.Image) ([]float32, int, int, error) {
		return []float32{float32(math.NaN())}, 1, 1, nil
	}
	failing := func(_ context.Context, _ *imageio.Image) ([]float32, int, int, error) {
		return nil, 0, 0, errs.New(errs.Device, "test: no device")
	}
	for _, c := range []struct {
		name      string
		ctx       context.Context
		val, test []int
		maps      MapFunc
		want      errs.Kind
		says      string
	}{
		{"no validation image", context.Background(), nil, test, good, errs.NotFound, "validation"},
		{"no validation image with a mask", context.Background(), []int{12}, test, good, errs.NotFound, "validation"},
		{"no test image with a mask", context.Background(), val, []int{12}, good, errs.NotFound, "none of the 1 images"},
		{"a map that is not a number", context.Background(), val, test, broken, errs.Invalid, "p0.png"},
		{"a map that cannot be computed", context.Background(), val, test, failing, errs.Device, "no device"},
		{"cancelled", cancelled, val, test, good, errs.Cancelled, ""},
	} {
		_, err := ScoreMasks(c.ctx, d, c.val, c.test, c.maps, 2)
		if errs.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	if err := os.WriteFile(d.Samples[7].Mask, []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ScoreMasks(context.Background(), d, val, test, good, 2); errs.KindOf(err) != errs.Unsupported || !strings.Contains(err.Error(), "m7.png") {
		t.Errorf("a mask that is no picture: got %v", err)
	}
}

func TestOnlyEmptyMasksHaveNoPointingGame(t *testing.T) {
	d, masks := findings(t)
	r, err := ScoreMasks(context.Background(), d, d.Indices(dataset.Val), []int{11}, mapsOf(masks), 1)
	if err != nil || r.Pointing != nil || r.NumEmptyMasks != 1 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"pointing_game":null`) {
		t.Errorf("got %s, %v", text, err)
	}
}
