package loss

import (
	"math"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/miner"
)

// The boundaries β of the margin loss.
const (
	BetaFixed    = "fixed"
	BetaLearnt   = "learnt"    // one for all classes
	BetaPerClass = "per-class" // one for each class
)

// betaRateFactor is the learning rate of β over the network's: 5e-4 beside 1e-5 in Roth et al., ICML 2020, who train the network by Adam as here.
// Wu et al. give β a rate of its own too, but train it by stochastic gradient descent.
const betaRateFactor = 50

// Margin is the margin loss over mined pairs:
//
//	loss = (1/P) · (Σ max(0, d_ap − β + Margin) + Σ max(0, β − d_an + Margin)) + Nu · mean|β|
//
// with P the number of terms above zero, positives and negatives counted alike, d the distance of package distance, and β the boundary of the
// anchor's class: one number for all, or one for each class, which Adam then learns from ∂loss/∂β_c = (negatives − positives above zero with
// an anchor of class c)/P + Nu·sign(β_c)/(number of β). The penalty, the mean over all β, is there when β is learnt.
//
// Shapes: rows [B, D], of unit length; labels [B], with a β for each class below their number. A batch without a term above zero (one image, no
// two images of a class, all pairs satisfied) gives the penalty alone and a zero gradient of the rows. Source: Wu et al., ICCV 2017, eq. 5–6.
type Margin struct {
	Margin float64 // half the width of the gap around β
	Nu     float64 // weight of the penalty on a learnt β

	boundaries string // one of the constants
	beta       Parameter
	mine       miner.Miner
	dist       distance.Matrix
	pairs      miner.Pairs
	slope      []float64 // [B, B], ∂loss/∂d
	drawn      uint64    // what a miner that draws had drawn before the last Compute
}

// NewMargin returns the margin loss with a fixed β of 1.2, Margin = 0.2 (Wu et al. 2017) and nearest mining.
func NewMargin() *Margin { return newMargin(BetaFixed, 1, &miner.Nearest{}) }

// newMargin returns the loss with n boundaries of 1.2.
func newMargin(boundaries string, n int, mine miner.Miner) *Margin {
	l := &Margin{Margin: 0.2, boundaries: boundaries, beta: newParameter("beta", 1, n, betaRateFactor), mine: mine}
	for c := range l.beta.Value {
		l.beta.Value[c] = 1.2
	}
	return l
}

// buildMargin makes the loss that the options describe.
func buildMargin(o Options) (Loss, error) {
	mine, err := miner.New(o.mining(), o.Seed)
	if err != nil {
		return nil, err
	}
	boundaries, n := o.boundaries(), 1
	if boundaries == BetaPerClass {
		if n = o.NumClasses; n < 1 {
			return nil, errs.New(errs.Invalid, "loss margin: number of classes: got %d, want 1 or more for a beta of each", n)
		}
	}
	l := newMargin(boundaries, n, mine)
	l.Nu = o.Nu
	return l, nil
}

// Name is "margin".
func (l *Margin) Name() string { return "margin" }

// Compute implements Loss; terms is P.
func (l *Margin) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss margin", x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	if l.boundaries == BetaPerClass {
		if err := checkClasses("loss margin", labels, len(l.beta.Value), "classes"); err != nil {
			return 0, 0, err
		}
	}
	if err := l.dist.Compute(x, dim); err != nil {
		return 0, 0, err
	}
	if m, ok := l.mine.(*miner.DistanceWeighted); ok {
		l.drawn = m.Draws
	}
	if err := l.mine.Mine(&l.dist, labels, &l.pairs); err != nil {
		return 0, 0, err
	}
	n := len(labels)
	l.slope = distance.Resize(l.slope, n*n)
	clear(l.slope)
	clear(l.beta.Gradient)
	pulled, p := l.addTerms(l.pairs.Positives, labels, 1)
	pushed, q := l.addTerms(l.pairs.Negatives, labels, -1)
	value, terms, err = mean(&l.dist, l.slope, pulled+pushed, p+q, grad)
	return value + l.finishBeta(terms), terms, err
}

// addTerms sums max(0, sign·(d − β) + Margin) over pairs, adds the terms' slopes, and counts those above zero.
func (l *Margin) addTerms(pairs []miner.Pair, labels []int64, sign float64) (sum float64, terms int) {
	n := l.dist.Len()
	for _, p := range pairs {
		class := 0
		if l.boundaries == BetaPerClass {
			class = int(labels[p.Anchor])
		}
		if t := sign*(l.dist.Row(p.Anchor)[p.Other]-l.beta.Value[class]) + l.Margin; t > 0 {
			sum += t
			terms++
			l.slope[p.Anchor*n+p.Other] += sign
			l.beta.Gradient[class] -= sign
		}
	}
	return sum, terms
}

// finishBeta divides the gradient of β by the number of terms, adds that of the penalty, and returns the penalty.
func (l *Margin) finishBeta(terms int) (penalty float64) {
	if l.boundaries == BetaFixed {
		return 0
	}
	weight := l.Nu / float64(len(l.beta.Value))
	for c, b := range l.beta.Value {
		penalty += weight * math.Abs(b)
		l.beta.Gradient[c] /= float64(max(1, terms))
		if b != 0 {
			l.beta.Gradient[c] += math.Copysign(weight, b)
		}
	}
	return penalty
}

// Parameters implements Parametric: β, unless it is fixed.
func (l *Margin) Parameters() []*Parameter {
	if l.boundaries == BetaFixed {
		return nil
	}
	return []*Parameter{&l.beta}
}

// Update implements Parametric. All β take each step, those of classes outside the batch on their momentum.
func (l *Margin) Update(rate float64) {
	if l.boundaries == BetaFixed {
		return
	}
	for c := range l.beta.Value {
		l.beta.update(c, rate)
	}
}

// Undo implements Undoer: the miner draws the same again.
func (l *Margin) Undo() {
	if m, ok := l.mine.(*miner.DistanceWeighted); ok {
		m.Draws = l.drawn
	}
}

// State implements Stateful: "beta.…" when it is learnt, and "mining.draws" of a miner that draws.
func (l *Margin) State() []State { return cloneState(l.state()) }

// Restore implements Stateful.
func (l *Margin) Restore(saved []State) error {
	own := l.state()
	if err := restore("loss margin", own, saved); err != nil {
		return err
	}
	if m, ok := l.mine.(*miner.DistanceWeighted); ok {
		m.Draws = uint64(own[len(own)-1].Counts[0])
	}
	return nil
}

func (l *Margin) state() (states []State) {
	for _, p := range l.Parameters() {
		states = append(states, p.state()...)
	}
	if m, ok := l.mine.(*miner.DistanceWeighted); ok {
		states = append(states, State{Name: "mining.draws", Counts: []int64{int64(m.Draws)}})
	}
	return states
}
