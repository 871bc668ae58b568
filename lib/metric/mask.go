package metric

import (
	"math"

	"libdsl/lib/errs"
)

// MapBins is the number of bins that map values in [0, 1] are counted in: bin b holds [b/MapBins, (b+1)/MapBins), the last one 1 as well. A
// threshold t stands for t/MapBins, so what is said about a threshold is exact, and only thresholds are rounded.
const MapBins = 256

// FixedThreshold is one half.
const FixedThreshold = MapBins / 2

// Side says which pixels of a map are foreground.
type Side uint8

// Above takes the values of at least the threshold, Below those under it: the map, or 1 − map.
const (
	Above Side = iota
	Below
)

func (s Side) String() string { return [...]string{"above", "below"}[s] }

// MapCounts is all that the scores of a map against a mask need.
type MapCounts struct {
	Inside, Outside [MapBins]int // pixels in and out of the mask, by the map's value
	HighestInside   bool         // the map's largest value lies in the mask; the first pixel of equal ones counts
	LowestInside    bool         // its smallest one
}

// CountMap counts a map [N] in [0, 1] in and out of a mask [N], true inside. Errors: errs.Invalid for no pixel, lengths that differ, NaN or a value
// outside [0, 1].
func CountMap(values []float32, mask []bool) (*MapCounts, error) {
	if len(values) == 0 || len(values) != len(mask) {
		return nil, errs.New(errs.Invalid, "metric: map: got %d values for a mask of %d pixels, want as many and at least one", len(values), len(mask))
	}
	var c MapCounts
	highest, lowest := 0, 0
	for i, v := range values {
		if !(v >= 0 && v <= 1) {
			return nil, errs.New(errs.Invalid, "metric: map: got %v at pixel %d, want 0 to 1", v, i)
		}
		bin := min(int(v*MapBins), MapBins-1)
		if mask[i] {
			c.Inside[bin]++
		} else {
			c.Outside[bin]++
		}
		if v > values[highest] {
			highest = i
		}
		if v < values[lowest] {
			lowest = i
		}
	}
	c.HighestInside, c.LowestInside = mask[highest], mask[lowest]
	return &c, nil
}

// Overlap of a predicted region with a mask, in pixels.
type Overlap struct{ Both, Predicted, Mask int }

// Dice is 2·|P ∩ M|/(|P| + |M|), in [0, 1]; 1 when both are empty. Source: Dice 1945.
func (o Overlap) Dice() float64 {
	if o.Predicted+o.Mask == 0 {
		return 1
	}
	return 2 * float64(o.Both) / float64(o.Predicted+o.Mask)
}

// IoU is |P ∩ M|/|P ∪ M|, in [0, 1]; 1 when both are empty. Source: Jaccard 1912.
func (o Overlap) IoU() float64 {
	if o.Predicted+o.Mask == 0 {
		return 1
	}
	return float64(o.Both) / float64(o.Predicted+o.Mask-o.Both)
}

// At compares the mask with the map's pixels on one side of a threshold, 0 to MapBins−1.
func (c *MapCounts) At(threshold int, side Side) Overlap {
	var o Overlap
	for bin := range MapBins {
		o.Mask += c.Inside[bin]
		if (bin >= threshold) == (side == Above) {
			o.Both += c.Inside[bin]
			o.Predicted += c.Inside[bin] + c.Outside[bin]
		}
	}
	return o
}

// Everything compares the mask with all pixels.
func (c *MapCounts) Everything() Overlap { return c.At(0, Above) }

// Points is the pointing game: whether the map's extreme value, the largest for Above and the smallest for Below, lies in the mask. ok is false for an
// empty mask, which nothing can hit. Source: Zhang et al. 2018 (excitation backprop), without a tolerance.
func (c *MapCounts) Points(side Side) (hit, ok bool) {
	if c.Everything().Mask == 0 {
		return false, false
	}
	if side == Below {
		return c.LowestInside, true
	}
	return c.HighestInside, true
}

// Otsu is the threshold, 1 to MapBins−1, that maximises the variance between the two sides, w₀w₁(μ₀ − μ₁)² with w the shares of pixels and μ their mean bins;
// the lowest of equal ones, FixedThreshold when all values lie in one bin. It does not look at the mask. Source: Otsu 1979.
func (c *MapCounts) Otsu() int {
	var pixels, total float64
	for bin := range MapBins {
		n := float64(c.Inside[bin] + c.Outside[bin])
		pixels += n
		total += n * float64(bin)
	}
	best, threshold := 0.0, FixedThreshold
	var below, sum float64 // pixels and sum of bins under the threshold
	for t := 1; t < MapBins; t++ {
		n := float64(c.Inside[t-1] + c.Outside[t-1])
		below += n
		sum += n * float64(t-1)
		if below == 0 || below == pixels {
			continue
		}
		apart := sum/below - (total-sum)/(pixels-below)
		if v := below * (pixels - below) * apart * apart; v > best {
			best, threshold = v, t
		}
	}
	return threshold
}

// ThresholdSearch finds the threshold and the side with the best mean Dice over images that are added one by one.
type ThresholdSearch struct {
	images int
	sums   [2][MapBins]float64 // of Dice, by side and threshold
}

// Add takes an image into account.
func (s *ThresholdSearch) Add(c *MapCounts) {
	s.images++
	all := c.Everything()
	under := Overlap{Mask: all.Mask}
	for t := range MapBins {
		over := Overlap{all.Both - under.Both, all.Predicted - under.Predicted, all.Mask}
		s.sums[Above][t] += over.Dice()
		s.sums[Below][t] += under.Dice()
		under.Both += c.Inside[t]
		under.Predicted += c.Inside[t] + c.Outside[t]
	}
}

// Best is the threshold and side, among the given ones, of the highest mean Dice: the first side and the lowest threshold of equal ones. Without images it
// is FixedThreshold, Above and NaN.
func (s *ThresholdSearch) Best(sides ...Side) (threshold int, side Side, dice float64) {
	if s.images == 0 {
		return FixedThreshold, Above, math.NaN()
	}
	dice = -1
	for _, candidate := range sides {
		for t, sum := range s.sums[candidate] {
			if mean := sum / float64(s.images); mean > dice {
				threshold, side, dice = t, candidate, mean
			}
		}
	}
	return threshold, side, dice
}
