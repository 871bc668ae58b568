// Package loss holds the losses that train an embedding, with their gradients by hand.
//
// A loss sees one batch on the host: rows, labels, and nothing of learners or the network. Sums are in float64.
// Buffers are reused: after the first batch of a size nothing is allocated.
package loss

import (
	"libdsl/lib/distance"
	"libdsl/lib/errs"
)

// B batch, D dimension of a row.

// Loss is a loss function of a batch. An implementation has one user at a time.
type Loss interface {
	// Name is the loss's name in options, logs and checkpoints.
	Name() string
	// Compute returns the loss of rows x [B, dim] with labels [B], overwrites grad [B, dim] with ∂loss/∂x, and says
	// how many terms the loss is the mean of; 0 terms mean a zero gradient, and loss 0 but for a penalty on the loss's own parameters.
	// Errors: errs.Invalid when the shapes disagree, a label is out of range or a row is not finite; grad is then unspecified.
	Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error)
}

// check tests the shapes and values that every loss asks for.
func check(who string, x []float32, dim int, labels []int64, grad []float32) error {
	if err := distance.CheckRows(who, x, dim); err != nil {
		return err
	}
	if len(labels) != len(x)/dim {
		return errs.New(errs.Invalid, "%s: labels: got %d, want %d, one for each row", who, len(labels), len(x)/dim)
	}
	if len(grad) != len(x) {
		return errs.New(errs.Invalid, "%s: gradient: got [%d], want [%d, %d] = %d numbers", who, len(grad), len(x)/dim, dim, len(x))
	}
	for i, l := range labels {
		if l < 0 {
			return errs.New(errs.Invalid, "%s: label %d: got %d, want 0 or more", who, i, l)
		}
	}
	return nil
}

// checkClasses tests that labels are below n, the number of what.
func checkClasses(who string, labels []int64, n int, what string) error {
	for i, l := range labels {
		if l >= int64(n) {
			return errs.New(errs.Invalid, "%s: label %d: got %d, want less than the %d %s", who, i, l, n, what)
		}
	}
	return nil
}

// mean divides a sum of terms and its slopes [B, B] of the distances by the number of terms and writes the gradient of the rows: what a loss
// over distances returns.
func mean(d *distance.Matrix, slope []float64, sum float64, terms int, grad []float32) (float64, int, error) {
	if terms == 0 {
		clear(grad)
		return 0, 0, nil
	}
	for i := range slope {
		slope[i] /= float64(terms)
	}
	return sum / float64(terms), terms, d.Backward(slope, grad)
}
