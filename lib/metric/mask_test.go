package metric

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// spot is a noisy map that is brighter in the mask by lift, and the mask: about a third of n pixels.
func spot(n int, lift float64, seed uint64) (values []float32, mask []bool) {
	r := rng.New(seed, "spot")
	for range n {
		in := r.Float64() < 1.0/3
		v := 0.3 + 0.2*r.NormFloat64()
		if in {
			v += lift
		}
		values, mask = append(values, float32(min(max(v, 0), 1))), append(mask, in)
	}
	return values, mask
}

func counted(t *testing.T, values []float32, mask []bool) *MapCounts {
	t.Helper()
	c, err := CountMap(values, mask)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// naiveOverlap counts pixels one by one.
func naiveOverlap(values []float32, mask []bool, threshold float64, side Side) (dice, iou float64) {
	var both, predicted, inside, union float64
	for i, v := range values {
		p := float64(v) >= threshold
		if side == Below {
			p = !p
		}
		if p && mask[i] {
			both++
		}
		if p || mask[i] {
			union++
		}
		if p {
			predicted++
		}
		if mask[i] {
			inside++
		}
	}
	if union == 0 {
		return 1, 1
	}
	return 2 * both / (predicted + inside), both / union
}

// naiveOtsu tries every threshold with means over the pixels' bins.
func naiveOtsu(values []float32) int {
	best, threshold := 0.0, 128
	for t := 1; t < 256; t++ {
		var n, sum [2]float64
		for _, v := range values {
			bin, side := min(math.Floor(float64(v)*256), 255), 0
			if bin >= float64(t) {
				side = 1
			}
			n[side]++
			sum[side] += bin
		}
		if n[0] == 0 || n[1] == 0 {
			continue
		}
		d := sum[0]/n[0] - sum[1]/n[1]
		if v := n[0] * n[1] * d * d; v > best*(1+1e-12) {
			best, threshold = v, t
		}
	}
	return threshold
}

func TestScoresOfAMapAreThoseOfALoopOverPixels(t *testing.T) {
	for seed, lift := range []float64{-0.2, 0, 0.1, 0.5} {
		values, mask := spot(700, lift, uint64(seed))
		c := counted(t, values, mask)
		for _, side := range []Side{Above, Below} {
			for threshold := range MapBins {
				o := c.At(threshold, side)
				dice, iou := naiveOverlap(values, mask, float64(threshold)/256, side)
				if o.Dice() != dice || o.IoU() != iou {
					t.Fatalf("lift %v, %v %d: got %v and %v, want %v and %v", lift, side, threshold, o.Dice(), o.IoU(), dice, iou)
				}
			}
		}
		if got, want := c.Otsu(), naiveOtsu(values); got != want {
			t.Errorf("lift %v: Otsu's threshold: got %d, want %d", lift, got, want)
		}
	}
}

func TestTheBestThresholdIsThatOfALoopOverAllOfThem(t *testing.T) {
	for _, lift := range []float64{0.3, -0.3, 0} {
		var search ThresholdSearch
		var maps [][]float32
		var masks [][]bool
		for seed := range uint64(5) {
			values, mask := spot(300, lift, 10+seed)
			maps, masks = append(maps, values), append(masks, mask)
			search.Add(counted(t, values, mask))
		}
		best, where, which := -1.0, 0, Above
		for _, side := range []Side{Above, Below} {
			for threshold := range 256 {
				mean := 0.0
				for i := range maps {
					dice, _ := naiveOverlap(maps[i], masks[i], float64(threshold)/256, side)
					mean += dice / 5
				}
				if mean > best+1e-12 {
					best, where, which = mean, threshold, side
				}
			}
		}
		threshold, side, dice := search.Best(Above, Below)
		if threshold != where || side != which || math.Abs(dice-best) > 1e-12 {
			t.Errorf("lift %v: got %v %d with %v, want %v %d with %v", lift, side, threshold, dice, which, where, best)
		}
		if _, side, _ := search.Best(Above); side != Above {
			t.Errorf("lift %v: a side that was not asked for", lift)
		}
	}
}

func TestADarkFindingIsFoundBelowTheThreshold(t *testing.T) {
	values, mask := spot(4000, -0.3, 3)
	var search ThresholdSearch
	search.Add(counted(t, values, mask))
	if _, side, _ := search.Best(Above, Below); side != Below {
		t.Fatal("got the bright side")
	}
}

func TestEmptyAndFullRegionsHaveDefinedScores(t *testing.T) {
	const n = 4
	none, all := make([]bool, n), slices.Repeat([]bool{true}, n)
	dark, bright := make([]float32, n), slices.Repeat([]float32{1}, n)
	for _, c := range []struct {
		name      string
		values    []float32
		mask      []bool
		dice, iou float64
		hit, ok   bool
	}{
		{"nothing predicted, nothing there", dark, none, 1, 1, false, false},
		{"nothing predicted, all there", dark, all, 0, 0, true, true},
		{"all predicted, nothing there", bright, none, 0, 0, false, false},
		{"all predicted, all there", bright, all, 1, 1, true, true},
		{"one pixel", bright[:1], all[:1], 1, 1, true, true},
	} {
		counts := counted(t, c.values, c.mask)
		o := counts.At(FixedThreshold, Above)
		hit, ok := counts.Points(Above)
		if o.Dice() != c.dice || o.IoU() != c.iou || hit != c.hit || ok != c.ok {
			t.Errorf("%s: got Dice %v, IoU %v, hit %v %v", c.name, o.Dice(), o.IoU(), hit, ok)
		}
		if got := counts.Otsu(); got != FixedThreshold {
			t.Errorf("%s: Otsu's threshold of a constant map: got %d, want %d", c.name, got, FixedThreshold)
		}
	}
	if threshold, side, dice := new(ThresholdSearch).Best(Above, Below); threshold != FixedThreshold || side != Above || !math.IsNaN(dice) {
		t.Errorf("a search without images: got %d, %v, %v", threshold, side, dice)
	}
}

func TestOtsuSeparatesTwoLevelsJustAboveTheLowerOne(t *testing.T) {
	values := []float32{0.25, 0.25, 0.25, 0.75}
	if got := counted(t, values, make([]bool, 4)).Otsu(); got != 65 { // 0.25 is bin 64
		t.Fatalf("got %d, want 65", got)
	}
}

func TestPointingTakesTheFirstOfEqualExtremes(t *testing.T) {
	values := []float32{0.5, 0.9, 0.9, 0.1, 0.1}
	for _, c := range []struct {
		mask []bool
		side Side
		want bool
	}{
		{[]bool{false, true, false, false, false}, Above, true},
		{[]bool{false, false, true, false, false}, Above, false},
		{[]bool{false, false, false, true, false}, Below, true},
		{[]bool{false, false, false, false, true}, Below, false},
	} {
		if hit, ok := counted(t, values, c.mask).Points(c.side); hit != c.want || !ok {
			t.Errorf("%v %v: got %v, %v", c.mask, c.side, hit, ok)
		}
	}
}

func TestMapsThatCannotBeCountedAreRefused(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		values []float32
		mask   []bool
	}{
		"no pixel":         {nil, nil},
		"unequal lengths":  {[]float32{0, 1}, []bool{true}},
		"NaN":              {[]float32{0, nan}, []bool{true, true}},
		"a negative value": {[]float32{-1e-6}, []bool{true}},
		"a value above 1":  {[]float32{1.001}, []bool{true}},
	} {
		if _, err := CountMap(c.values, c.mask); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
