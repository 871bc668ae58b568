package loss

import (
	"math"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/miner"
)

// naiveMargin is the loss over the pairs mined at x, which package miner tests, from the definition.
func naiveMargin(t *testing.T, loss Loss, x []float32, dim int, labels []int64) func(x []float64) (value float64, terms int) {
	l := loss.(*Margin)
	pairs := mined(t, l, x, dim, labels)
	beta := func(anchor int) float64 {
		if l.boundaries == BetaPerClass {
			return l.beta.Value[labels[anchor]]
		}
		return l.beta.Value[0]
	}
	return func(x []float64) (value float64, terms int) {
		for _, p := range pairs.Positives {
			if v := naiveDistance(x, dim, p.Anchor, p.Other) - beta(p.Anchor) + 0.2; v > 0 {
				value, terms = value+v, terms+1
			}
		}
		for _, p := range pairs.Negatives {
			if v := beta(p.Anchor) - naiveDistance(x, dim, p.Anchor, p.Other) + 0.2; v > 0 {
				value, terms = value+v, terms+1
			}
		}
		value /= float64(max(1, terms))
		for _, b := range l.beta.Value {
			value += l.Nu * math.Abs(b) / float64(len(l.beta.Value))
		}
		return value, terms
	}
}

// mined are the pairs that the loss mines next.
func mined(t *testing.T, l *Margin, x []float32, dim int, labels []int64) (p miner.Pairs) {
	t.Helper()
	var d distance.Matrix
	if err := d.Compute(x, dim); err != nil {
		t.Fatal(err)
	}
	mine := miner.Miner(&miner.Nearest{})
	if w, ok := l.mine.(*miner.DistanceWeighted); ok {
		again := miner.NewDistanceWeighted(5)
		again.Draws, mine = w.Draws, again
	}
	if err := mine.Mine(&d, labels, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMarginTakesTheBetaOfTheAnchorsClass(t *testing.T) {
	x, labels := batch(8, 12, 4, 3)
	l := made(t, "margin", Options{Beta: BetaPerClass, Nu: 0.1}, 4).(*Margin)
	for c := range l.beta.Value {
		l.beta.Value[c] = 0.9 + 0.2*float64(c%3)
	}
	l.beta.Value[50], l.beta.Value[51] = -0.7, 0 // of no class here: only in the penalty
	naive := naiveMargin(t, l, x, 4, labels)
	grad := make([]float32, len(x))
	got, _, err := l.Compute(x, 4, labels, grad)
	if want, _ := naive(wide(x)); err != nil || math.Abs(got-want) > 1e-12 {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	checkGradient(t, "rows", x, grad, func(x []float64) float64 { v, _ := naive(x); return v })
	if share := 0.1 / 101; l.beta.Gradient[50] != -share || l.beta.Gradient[51] != 0 {
		t.Errorf("got gradients %v and %v of unused betas, want %v and 0", l.beta.Gradient[50], l.beta.Gradient[51], -share)
	}
	if _, _, err := l.Compute(x[:8], 4, []int64{0, 101}, grad[:8]); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a label without a beta: got %v, want an invalid-argument error", err)
	}
}

func TestMarginLearnsTheBetaThatSeparates(t *testing.T) {
	// positives at 0.5 and negatives at 1 on a line: with β above 0.8 or below 0.7 some pair has a loss
	x, labels := []float32{0, 0.5, 1.5, 2}, []int64{0, 0, 1, 1}
	l := made(t, "margin", Options{Beta: BetaLearnt}, 1).(*Margin)
	for range 1000 {
		if _, _, err := l.Compute(x, 1, labels, make([]float32, 4)); err != nil {
			t.Fatal(err)
		}
		l.Update(1e-4)
	}
	if b := l.Parameters()[0].Value[0]; b < 0.69 || b > 0.81 {
		t.Errorf("got beta %v, want 0.7 to 0.8", b)
	}
}

func TestMarginOfNearlyEqualRowsTakesFarNegatives(t *testing.T) {
	x, dim, labels := nearlyEqual()
	value, terms, err := NewMargin().Compute(x, dim, labels, make([]float32, len(x)))
	// each image has three positives, satisfied, and so three negatives, all violated by about 1.4
	if err != nil || terms != 3*len(labels) || math.Abs(value-1.4) > 0.01 {
		t.Fatalf("got loss %v of %d terms, %v", value, terms, err)
	}
}
