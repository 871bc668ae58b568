package loss

import (
	"math"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/miner"
)

// naiveMargin is the loss over the pairs mined at x, which package miner tests, from the definition.
func naiveMargin(t *testing.T, x []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	pairs := mined(t, x, dim, labels)
	return func(x []float64) (value float64, terms int) {
		for _, p := range pairs.Positives {
			if v := naiveDistance(x, dim, p.Anchor, p.Other) - 1.2 + 0.2; v > 0 {
				value, terms = value+v, terms+1
			}
		}
		for _, p := range pairs.Negatives {
			if v := 1.2 - naiveDistance(x, dim, p.Anchor, p.Other) + 0.2; v > 0 {
				value, terms = value+v, terms+1
			}
		}
		return value / float64(max(1, terms)), terms
	}
}

func mined(t *testing.T, x []float32, dim int, labels []int64) (p miner.Pairs) {
	t.Helper()
	var d distance.Matrix
	var m miner.Nearest
	if err := d.Compute(x, dim); err != nil {
		t.Fatal(err)
	}
	if err := m.Mine(&d, labels, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMarginOfNearlyEqualRowsTakesFarNegatives(t *testing.T) {
	x, dim, labels := nearlyEqual()
	value, terms, err := NewMargin().Compute(x, dim, labels, make([]float32, len(x)))
	// each image has three positives, satisfied, and so three negatives, all violated by about 1.4
	if err != nil || terms != 3*len(labels) || math.Abs(value-1.4) > 0.01 {
		t.Fatalf("got loss %v of %d terms, %v", value, terms, err)
	}
}
