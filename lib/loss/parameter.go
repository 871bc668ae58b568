package loss

import "math"

// Adam's constants, those of torch.optim.Adam.
const (
	adamBeta1   = 0.9
	adamBeta2   = 0.999
	adamEpsilon = 1e-8
)

// Parametric is a loss that learns parameters of its own, on the host. A training step calls Compute, then Update.
type Parametric interface {
	Loss
	// Parameters returns what is learnt, which may be nothing. Callers may read it, and know State and Restore for checkpoints.
	Parameters() []*Parameter
	// Update does one step of Adam with the gradients of the last Compute. rate is that of the network; each parameter multiplies it by its RateFactor.
	Update(rate float64)
}

// Parameter is an array [rows, Columns] that a loss learns, with the state of its Adam: as torch.optim.Adam without weight decay, but with a step
// count for each column, so that a column that was drawn anew, or that sat out, is corrected for its own steps.
type Parameter struct {
	Name       string
	Columns    int
	RateFactor float64   // its learning rate over the network's
	Value      []float64 // [rows, Columns]
	Gradient   []float64 // [rows, Columns], ∂loss/∂Value of the last Compute
	M, V       []float64 // [rows, Columns], moving averages of the gradient and of its square
	Steps      []int64   // [Columns], updates so far
}

// newParameter returns a parameter of zeros.
func newParameter(name string, rows, columns int, rateFactor float64) Parameter {
	n := rows * columns
	return Parameter{Name: name, Columns: columns, RateFactor: rateFactor, Value: make([]float64, n), Gradient: make([]float64, n),
		M: make([]float64, n), V: make([]float64, n), Steps: make([]int64, columns)}
}

// update does one step of Adam on a column.
func (p *Parameter) update(column int, rate float64) {
	p.Steps[column]++
	t := float64(p.Steps[column])
	step := rate * p.RateFactor / (1 - math.Pow(adamBeta1, t))
	root := math.Sqrt(1 - math.Pow(adamBeta2, t))
	for i := column; i < len(p.Value); i += p.Columns {
		g := p.Gradient[i]
		p.M[i] = adamBeta1*p.M[i] + (1-adamBeta1)*g
		p.V[i] = adamBeta2*p.V[i] + (1-adamBeta2)*g*g
		p.Value[i] -= step * p.M[i] / (math.Sqrt(p.V[i])/root + adamEpsilon)
	}
}

// state is what a checkpoint holds of the parameter, in its own memory.
func (p *Parameter) state() []State {
	return []State{
		{Name: p.Name + ".value", Floats: p.Value, low: math.Inf(-1)},
		{Name: p.Name + ".m", Floats: p.M, low: math.Inf(-1)},
		{Name: p.Name + ".v", Floats: p.V},
		{Name: p.Name + ".steps", Counts: p.Steps},
	}
}
