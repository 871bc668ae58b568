package loss

import (
	"math"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// C number of classes, D embedding dimension, N the selected neurons.

// PerNeuron is a loss whose parameters have one column for each neuron of the embedding.
type PerNeuron interface {
	Parametric
	// Select says which neurons the columns of the next batches' rows are: a learner's subspace, or all D in order when neurons is nil, as at the
	// start. Compute and Update leave the other columns alone. Errors: errs.Invalid when a neuron is out of range or there twice, or when there
	// is none; the selection is then the old one.
	Select(neurons []int) error
	// Reset draws the columns of these neurons anew from r and clears their Adam state, as a growth does with the network's rows.
	// Errors: errs.Invalid when a neuron is out of range or there twice; nothing is then changed.
	Reset(neurons []int, r *rng.Stream) error
}

// proxyRateFactor is the proxies' learning rate over the network's, that of the code of Kim et al. 2020.
const proxyRateFactor = 100

// proxyEpsilon keeps the direction of a proxy finite whose selected columns are all zero.
const proxyEpsilon = 1e-12

// proxies are one learnt vector p_c [D] for each class, of which a loss sees the directions among the selected neurons:
//
//	u_c = p_c[N]/√(‖p_c[N]‖² + 1e-12)
//
// They start normal with deviation √(2/C), as in the code of Kim et al. Their methods are those of PerNeuron and Stateful.
type proxies struct {
	who     string // the loss, for errors
	classes int
	values  Parameter // [C, D]
	neurons []int     // N
	seen    []bool    // [D], for the check of neurons
	unit    []float64 // [C, N], the directions
	length  []float64 // [C], what they were divided by
	acc     []float64 // [N], the gradient of one direction
}

// newProxies returns proxies with all neurons selected. Errors: errs.Invalid without classes or neurons.
func newProxies(who string, o Options) (*proxies, error) {
	if o.NumClasses < 1 || o.EmbeddingDim < 1 {
		return nil, errs.New(errs.Invalid, "%s: got %d classes and an embedding of %d, want 1 or more of both", who, o.NumClasses, o.EmbeddingDim)
	}
	p := &proxies{who: who, classes: o.NumClasses, values: newParameter("proxies", o.NumClasses, o.EmbeddingDim, proxyRateFactor),
		seen: make([]bool, o.EmbeddingDim)}
	p.selectAll()
	return p, p.Reset(p.neurons, rng.New(o.Seed, "proxies"))
}

func (p *proxies) selectAll() {
	p.neurons = distance.Resize(p.neurons, p.values.Columns)
	for d := range p.neurons {
		p.neurons[d] = d
	}
}

// Select implements PerNeuron.
func (p *proxies) Select(neurons []int) error {
	if neurons == nil {
		p.selectAll()
		return nil
	}
	if len(neurons) == 0 {
		return errs.New(errs.Invalid, "%s: neurons: got none, want one or more", p.who)
	}
	if err := p.checkNeurons(neurons); err != nil {
		return err
	}
	p.neurons = append(p.neurons[:0], neurons...)
	return nil
}

// Reset implements PerNeuron.
func (p *proxies) Reset(neurons []int, r *rng.Stream) error {
	if err := p.checkNeurons(neurons); err != nil {
		return err
	}
	v := &p.values
	deviation := math.Sqrt(2 / float64(p.classes))
	for _, d := range neurons {
		v.Steps[d] = 0
		for i := d; i < len(v.Value); i += v.Columns {
			v.Value[i], v.Gradient[i], v.M[i], v.V[i] = deviation*r.NormFloat64(), 0, 0, 0
		}
	}
	return nil
}

// checkNeurons tests that neurons are among 0..D-1 and each there once.
func (p *proxies) checkNeurons(neurons []int) error {
	clear(p.seen)
	for _, d := range neurons {
		if d < 0 || d >= len(p.seen) {
			return errs.New(errs.Invalid, "%s: neurons: got %d, want 0 to %d", p.who, d, len(p.seen)-1)
		}
		if p.seen[d] {
			return errs.New(errs.Invalid, "%s: neurons: got %d twice, want it once", p.who, d)
		}
		p.seen[d] = true
	}
	return nil
}

// Parameters implements Parametric: "proxies" [C, D].
func (p *proxies) Parameters() []*Parameter { return []*Parameter{&p.values} }

// Update implements Parametric, for the selected neurons.
func (p *proxies) Update(rate float64) {
	for _, d := range p.neurons {
		p.values.update(d, rate)
	}
}

// State implements Stateful: "proxies.…". Which neurons are selected is not part of it.
func (p *proxies) State() []State { return cloneState(p.values.state()) }

// Restore implements Stateful.
func (p *proxies) Restore(saved []State) error { return restore(p.who, p.values.state(), saved) }

// directions fills p.unit.
func (p *proxies) directions() {
	n := len(p.neurons)
	p.unit, p.length = distance.Resize(p.unit, p.classes*n), distance.Resize(p.length, p.classes)
	for c := range p.classes {
		from, to := p.values.Value[c*p.values.Columns:], p.unit[c*n:(c+1)*n]
		sum := proxyEpsilon
		for k, d := range p.neurons {
			to[k] = from[d]
			sum += from[d] * from[d]
		}
		p.length[c] = math.Sqrt(sum)
		for k := range to {
			to[k] /= p.length[c]
		}
	}
}

// backward turns slope [B, C], ∂loss/∂⟨x_i, u_c⟩ of rows [B, N], into the gradient of the values.
func (p *proxies) backward(rows, slope []float64) {
	n := len(p.neurons)
	p.acc = distance.Resize(p.acc, n)
	clear(p.values.Gradient)
	for c := range p.classes {
		clear(p.acc)
		for at := 0; at < len(rows); at += n {
			addScaled(p.acc, slope[at/n*p.classes+c], rows[at:at+n])
		}
		unit, to := p.unit[c*n:(c+1)*n], p.values.Gradient[c*p.values.Columns:]
		var along float64
		for k, v := range p.acc {
			along += v * unit[k]
		}
		for k, d := range p.neurons {
			to[d] = (p.acc[k] - along*unit[k]) / p.length[c]
		}
	}
}

// addScaled adds w·x to sum.
func addScaled(sum []float64, w float64, x []float64) {
	for k, v := range x {
		sum[k] += w * v
	}
}
