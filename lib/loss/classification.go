package loss

import (
	"math"

	"libdsl/lib/distance"
)

// Classification is softmax cross-entropy, the mean over the batch:
//
//	loss = (1/B) Σ_i (log Σ_c exp x_ic − x_i,label(i)),   ∂loss/∂x_ic = (softmax(x_i)_c − [c = label(i)])/B
//
// Shapes: logits x [B, classes]; labels [B] in [0, classes). One class gives 0 and a zero gradient. Logits of any finite
// size are safe: the row's maximum is subtracted first.
type Classification struct {
	exp []float64 // [classes], one row's exponentials
}

// NewClassification returns the classification loss.
func NewClassification() *Classification { return &Classification{} }

// Name is "classification".
func (l *Classification) Name() string { return "classification" }

// Compute implements Loss; terms is B.
func (l *Classification) Compute(x []float32, classes int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check("loss classification", x, classes, labels, grad); err != nil {
		return 0, 0, err
	}
	if err := checkClasses("loss classification", labels, classes, "logits"); err != nil {
		return 0, 0, err
	}
	l.exp = distance.Resize(l.exp, classes)
	b := float64(len(labels))
	for i, label := range labels {
		row := x[i*classes : (i+1)*classes]
		value += l.row(row, int(label), grad[i*classes:(i+1)*classes], b)
	}
	return value / b, len(labels), nil
}

// row returns the cross-entropy of one image and writes its gradient, divided by b.
func (l *Classification) row(x []float32, label int, grad []float32, b float64) float64 {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for c, v := range x {
		l.exp[c] = math.Exp(float64(v) - float64(top))
		sum += l.exp[c]
	}
	for c, e := range l.exp {
		if c == label {
			grad[c] = float32((e - sum) / sum / b)
		} else {
			grad[c] = float32(e / sum / b)
		}
	}
	return math.Log(sum) - (float64(x[label]) - float64(top))
}
