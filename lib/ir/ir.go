// Package ir is a network program as plain data: tensors, and steps that compute them.
//
// It is what graph lowers to, plan arranges and backends run; it knows none of them. Images and feature maps are
// logically NHWC, convolution weights KRSC (output channel, row, column, input channel), matrices row-major; a backend may
// keep another layout between steps. Kinds (kind.go) say what a step computes, shape.go which shapes it takes and gives.
package ir

import "libdsl/lib/errs"

// DType is the element type of a tensor.
type DType uint8

// Element types.
const (
	F32 DType = iota
	U8
	I32
)

// Size is the size of one element in bytes.
func (d DType) Size() int {
	if d == U8 {
		return 1
	}
	return 4
}

// Role says where a tensor lives and who writes it.
type Role uint8

// Roles. Param and State tensors live in a store that all programs of one model share, found by name; Input tensors are
// written by the host before a run; Temp tensors live in the program's arena.
const (
	Temp  Role = iota
	Input      // written by the host before a run
	Param      // trained by gradient
	State      // changed by Update steps only: running statistics, Adam moments and counts
)

// TensorID indexes Program.Tensors. None stands for an output that nobody reads.
type TensorID int32

// None is the absent output.
const None TensorID = -1

// Shape holds up to four extents.
type Shape []int

// Count is the number of elements.
func (s Shape) Count() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Equal reports whether two shapes are the same.
func (s Shape) Equal(o Shape) bool {
	if len(s) != len(o) {
		return false
	}
	for i := range s {
		if s[i] != o[i] {
			return false
		}
	}
	return true
}

// Tensor is one value of a program. Output marks what the host reads after a run.
type Tensor struct {
	Name   string // unique among non-Temp tensors; a debugging aid for Temp
	Shape  Shape
	DType  DType
	Role   Role
	Output bool
}

// Phase says when a step runs. A cancelled run stops between steps of Setup, Forward and Backward; Update always runs to its
// end, so that a cancelled training step changes nothing.
type Phase uint8

// Phases in the order in which they run. Setup depends on parameters and states only and needs to run again only when those
// have changed.
const (
	Setup Phase = iota
	Forward
	Backward
	Update
	NumPhases
)

// Step computes Out from In. The operands of each kind are listed in kind.go.
type Step struct {
	Kind  Kind
	Attrs Attrs
	Phase Phase
	In    []TensorID
	Out   []TensorID
}

// Program is a list of steps in an order in which they can run, phases ascending.
type Program struct {
	Tensors []Tensor
	Steps   []Step
}

// Shapes returns the shapes of the given tensors; None gives nil.
func (p *Program) Shapes(ids []TensorID) []Shape {
	out := make([]Shape, len(ids))
	for i, id := range ids {
		if id != None {
			out[i] = p.Tensors[id].Shape
		}
	}
	return out
}

// Find returns the tensor of that name and role other than Temp.
func (p *Program) Find(name string) (TensorID, bool) {
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Role != Temp && t.Name == name {
			return TensorID(i), true
		}
	}
	return None, false
}

// Validate checks ids, phases, that steps read only what is there, that no tensor is computed twice, and every shape.
// Errors are Internal: a program is made by graph, never by a user.
func (p *Program) Validate() error {
	written := make([]bool, len(p.Tensors))
	names := map[string]bool{}
	for i, t := range p.Tensors {
		if t.Role == Temp {
			continue
		}
		written[i] = true
		if t.Name == "" || names[t.Name] {
			return errs.New(errs.Internal, "ir: tensor %d: name %q is empty or taken", i, t.Name)
		}
		names[t.Name] = true
	}
	phase := Setup
	for i := range p.Steps {
		if err := p.validateStep(i, &phase, written); err != nil {
			return err
		}
	}
	return nil
}

func (p *Program) validateStep(i int, phase *Phase, written []bool) error {
	s := &p.Steps[i]
	if s.Phase < *phase || s.Phase >= NumPhases {
		return errs.New(errs.Internal, "ir: step %d %v: phase %d after phase %d", i, s.Kind, s.Phase, *phase)
	}
	*phase = s.Phase
	for _, id := range s.In {
		if id < 0 || int(id) >= len(p.Tensors) || !written[id] {
			return errs.New(errs.Internal, "ir: step %d %v: reads tensor %d before it is computed", i, s.Kind, id)
		}
	}
	want, err := InferShapes(s.Kind, &s.Attrs, p.Shapes(s.In))
	if err != nil {
		return errs.Wrap(errs.Internal, err, "ir: step %d", i)
	}
	if len(want) != len(s.Out) {
		return errs.New(errs.Internal, "ir: step %d %v: got %d outputs, want %d", i, s.Kind, len(s.Out), len(want))
	}
	for k, id := range s.Out {
		if id == None {
			continue
		}
		if id < 0 || int(id) >= len(p.Tensors) || written[id] {
			return errs.New(errs.Internal, "ir: step %d %v: output tensor %d is missing or computed twice", i, s.Kind, id)
		}
		written[id] = true
		t := &p.Tensors[id]
		if !t.Shape.Equal(want[k]) || t.DType != OutDType(s.Kind, k) {
			return errs.New(errs.Internal, "ir: step %d %v: output %d: got shape %v, want %v", i, s.Kind, k, t.Shape, want[k])
		}
	}
	return nil
}
