package model

import (
	"math"
	"strings"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/rng"
)

// Weights holds the values of a network's tensors by name, in the layout of ir (convolutions KRSC, the embedding [D,C]).
type Weights map[string][]float32

// varianceSuffix ends the names of running variances.
const varianceSuffix = ".running_var"

// Clone returns an independent copy.
func (w Weights) Clone() Weights {
	out := make(Weights, len(w))
	for name, v := range w {
		out[name] = append([]float32(nil), v...)
	}
	return out
}

// Init draws the weights of a network to be trained from scratch.
//
// Backbone convolutions: He normal, fan-out, σ = √(2/(K·R·S)). BatchNorm: γ = 1, β = 0, running mean 0, variance 1. Attention: uniform
// ±1/√(C·R·S), biases 0. Embedding: see InitRows. Each tensor has a random stream of its own, named after it.
func Init(a Arch, subspaces [][]int, seed uint64) (Weights, error) {
	tensors, err := Tensors(a, false)
	if err != nil {
		return nil, err
	}
	w := Weights{}
	for _, t := range tensors {
		w[t.Name] = initTensor(t, seed)
	}
	r := rng.New(seed, "init/embedding")
	for _, rows := range subspaces {
		InitRows(w, rows, r)
	}
	return w, nil
}

func initTensor(t ir.Tensor, seed uint64) []float32 {
	out := make([]float32, t.Shape.Count())
	r := rng.New(seed, "init/"+t.Name)
	switch {
	case strings.HasSuffix(t.Name, varianceSuffix), len(t.Shape) == 1 && strings.HasSuffix(t.Name, ".weight"):
		for i := range out {
			out[i] = 1
		}
	case strings.HasPrefix(t.Name, "attention.") && len(t.Shape) == 4:
		bound := 1 / math.Sqrt(float64(t.Shape[1]*t.Shape[2]*t.Shape[3]))
		for i := range out {
			out[i] = float32((2*r.Float64() - 1) * bound)
		}
	case len(t.Shape) == 4:
		sigma := math.Sqrt(2 / float64(t.Shape[0]*t.Shape[1]*t.Shape[2]))
		for i := range out {
			out[i] = float32(r.NormFloat64() * sigma)
		}
	}
	return out
}

// InitRows draws the given rows of the embedding anew, as a layer of their own: weights Xavier normal, σ = √(2/(C + rows)), biases
// uniform ±1/√C. The other rows stay.
func InitRows(w Weights, rows []int, r *rng.Stream) {
	weight, bias := w[EmbeddingWeight], w[EmbeddingBias]
	c := len(weight) / len(bias)
	sigma, bound := math.Sqrt(2/float64(c+len(rows))), 1/math.Sqrt(float64(c))
	for _, d := range rows {
		for i := range c {
			weight[d*c+i] = float32(r.NormFloat64() * sigma)
		}
		bias[d] = float32((2*r.Float64() - 1) * bound)
	}
}

// Check reports missing, surplus, misshapen or non-finite tensors and negative variances as a Corrupt error that names the tensor.
func (w Weights) Check(a Arch) error {
	tensors, err := Tensors(a, false)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		v, ok := w[t.Name]
		if !ok || len(v) != t.Shape.Count() {
			return errs.New(errs.Corrupt, "model: tensor %q: got %d numbers, want shape %v", t.Name, len(v), t.Shape)
		}
		least := float32(-math.MaxFloat32)
		if strings.HasSuffix(t.Name, varianceSuffix) {
			least = 0
		}
		for i, x := range v {
			if !(x >= least && x <= math.MaxFloat32) { // so is NaN
				return errs.New(errs.Corrupt, "model: tensor %q: element %d is %v", t.Name, i, x)
			}
		}
	}
	if len(w) != len(tensors) {
		return errs.New(errs.Corrupt, "model: got %d tensors, want %d", len(w), len(tensors))
	}
	return nil
}

// WriteTo copies the weights into a store.
func (w Weights) WriteTo(s backend.Store) error {
	for name, v := range w {
		if err := s.Write(name, v); err != nil {
			return err
		}
	}
	return nil
}

// ReadFrom copies the tensors of w from a store; w names what is read.
func (w Weights) ReadFrom(s backend.Store) error {
	for name, v := range w {
		if err := s.Read(name, v); err != nil {
			return err
		}
	}
	return nil
}
