package onednn

// #include "program.h"
import "C"

import (
	"slices"
	"sync/atomic"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// store keeps dense tensors outside the Go heap. Its version changes with every write, so that programs know when to pack weights again.
type store struct {
	tensors []ir.Tensor
	at      []unsafe.Pointer
	byName  map[string]int
	version atomic.Int64
}

// NewStore makes zeroed tensors.
func (Backend) NewStore(tensors []ir.Tensor) (backend.Store, error) {
	s := &store{byName: map[string]int{}}
	for _, t := range tensors {
		if _, dup := s.byName[t.Name]; dup {
			s.Close()
			return nil, errs.New(errs.Invalid, "onednn: tensor %q: declared twice", t.Name)
		}
		p, err := alloc(plan.Dense(&t))
		if err != nil {
			s.Close()
			return nil, err
		}
		clear(unsafe.Slice((*byte)(p), plan.Dense(&t)))
		s.byName[t.Name] = len(s.tensors)
		s.tensors = append(s.tensors, t)
		s.at = append(s.at, p)
	}
	s.version.Store(1)
	return s, nil
}

func (s *store) Tensors() []ir.Tensor { return slices.Clone(s.tensors) }

func (s *store) Close() error {
	for _, p := range s.at {
		C.dsl_free(p)
	}
	s.at, s.byName = nil, nil
	return nil
}

func (s *store) find(name string, n int, d ir.DType) (unsafe.Pointer, error) {
	i, ok := s.byName[name]
	if !ok {
		return nil, errs.New(errs.NotFound, "onednn: tensor %q is not in the store", name)
	}
	t := &s.tensors[i]
	if t.DType != d {
		return nil, errs.New(errs.Invalid, "onednn: tensor %q: got element type %d, want %d", name, d, t.DType)
	}
	if t.Shape.Count() != n {
		return nil, errs.New(errs.Invalid, "onednn: tensor %q: got %d elements, want %d", name, n, t.Shape.Count())
	}
	return s.at[i], nil
}

func (s *store) Write(name string, src []float32) error {
	p, err := s.find(name, len(src), ir.F32)
	if err == nil {
		copy(unsafe.Slice((*float32)(p), len(src)), src)
		s.version.Add(1)
	}
	return err
}

func (s *store) Read(name string, dst []float32) error {
	p, err := s.find(name, len(dst), ir.F32)
	if err == nil {
		copy(dst, unsafe.Slice((*float32)(p), len(dst)))
	}
	return err
}

func (s *store) WriteInts(name string, src []int32) error {
	p, err := s.find(name, len(src), ir.I32)
	if err == nil {
		copy(unsafe.Slice((*int32)(p), len(src)), src)
		s.version.Add(1)
	}
	return err
}

func (s *store) ReadInts(name string, dst []int32) error {
	p, err := s.find(name, len(dst), ir.I32)
	if err == nil {
		copy(dst, unsafe.Slice((*int32)(p), len(dst)))
	}
	return err
}

// bind returns the memory of a program's Param or State tensor.
func (s *store) bind(t *ir.Tensor) (unsafe.Pointer, error) {
	i, ok := s.byName[t.Name]
	if !ok {
		return nil, errs.New(errs.NotFound, "onednn: tensor %q is not in the store", t.Name)
	}
	if have := &s.tensors[i]; !have.Shape.Equal(t.Shape) || have.DType != t.DType {
		return nil, errs.New(errs.Invalid, "onednn: tensor %q: the store has shape %v, the program wants %v", t.Name, have.Shape, t.Shape)
	}
	return s.at[i], nil
}
