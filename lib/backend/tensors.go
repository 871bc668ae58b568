package backend

import (
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// Tensors finds the tensors of a store by name: what the stores of all backends have in common.
type Tensors struct {
	backend string
	list    []ir.Tensor
	byName  map[string]int
}

// NewTensors lists the tensors of a store. Errors: Invalid for a name that is there twice.
func NewTensors(backend string, list []ir.Tensor) (*Tensors, error) {
	s := &Tensors{backend: backend, list: list, byName: make(map[string]int, len(list))}
	for i, t := range list {
		if _, dup := s.byName[t.Name]; dup {
			return nil, errs.New(errs.Invalid, "%s: tensor %q: declared twice", backend, t.Name)
		}
		s.byName[t.Name] = i
	}
	return s, nil
}

// Elements finds a tensor of n elements of a type. Errors: NotFound, Invalid.
func (s *Tensors) Elements(name string, n int, d ir.DType) (int, error) {
	i, ok := s.byName[name]
	if !ok {
		return 0, errs.New(errs.NotFound, "%s: tensor %q is not in the store", s.backend, name)
	}
	t := &s.list[i]
	if t.DType != d {
		return 0, errs.New(errs.Invalid, "%s: tensor %q: got element type %d, want %d", s.backend, name, d, t.DType)
	}
	if t.Shape.Count() != n {
		return 0, errs.New(errs.Invalid, "%s: tensor %q: got %d elements, want %d", s.backend, name, n, t.Shape.Count())
	}
	return i, nil
}

// Match finds the tensor that a program's Param or State stands for. Errors: NotFound, Invalid.
func (s *Tensors) Match(t *ir.Tensor) (int, error) {
	i, ok := s.byName[t.Name]
	if !ok {
		return 0, errs.New(errs.NotFound, "%s: tensor %q is not in the store", s.backend, t.Name)
	}
	if have := &s.list[i]; !have.Shape.Equal(t.Shape) || have.DType != t.DType {
		return 0, errs.New(errs.Invalid, "%s: tensor %q: the store has shape %v, the program wants %v", s.backend, t.Name, have.Shape, t.Shape)
	}
	return i, nil
}

// FindInput finds an Input tensor; F32 asks for a float32 one, U8 takes any. Errors: NotFound, Invalid.
func FindInput(backend string, p *plan.Plan, name string, d ir.DType) (ir.TensorID, error) {
	id, ok := p.Find(name)
	if !ok || p.Tensors[id].Role != ir.Input {
		return ir.None, errs.New(errs.NotFound, "%s: input %q is not in the program", backend, name)
	}
	if have := p.Tensors[id].DType; d == ir.F32 && have != d {
		return ir.None, errs.New(errs.Invalid, "%s: input %q: got float32, want element type %d", backend, name, have)
	}
	return id, nil
}

// FindOutput finds an Output tensor. Errors: NotFound.
func FindOutput(backend string, p *plan.Plan, name string) (ir.TensorID, error) {
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Output && t.Name == name {
			return ir.TensorID(i), nil
		}
	}
	return ir.None, errs.New(errs.NotFound, "%s: output %q is not in the program", backend, name)
}
