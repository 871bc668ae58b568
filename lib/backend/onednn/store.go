package onednn

// #include "program.h"
import "C"

import (
	"sync/atomic"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// store keeps dense tensors outside the Go heap. Its version changes with every write, so that programs know when to pack weights again.
type store struct {
	index   *backend.Tensors
	memory  unsafe.Pointer // of all tensors
	at      []unsafe.Pointer
	version atomic.Int64
}

// cacheLine is where tensors begin.
const cacheLine = 64

// NewStore makes zeroed tensors.
func (Backend) NewStore(tensors []ir.Tensor) (backend.Store, error) {
	index, err := backend.NewTensors("onednn", tensors)
	if err != nil {
		return nil, err
	}
	offsets, bytes := make([]int64, len(tensors)), int64(0)
	for i, t := range tensors {
		offsets[i] = bytes
		bytes += (plan.Dense(&t) + cacheLine - 1) / cacheLine * cacheLine
	}
	s := &store{index: index, at: make([]unsafe.Pointer, len(tensors))}
	if s.memory, err = alloc(bytes); err != nil {
		return nil, err
	}
	clear(unsafe.Slice((*byte)(s.memory), bytes))
	for i, offset := range offsets {
		s.at[i] = unsafe.Add(s.memory, offset)
	}
	s.version.Store(1)
	return s, nil
}

func (s *store) Close() error {
	C.dsl_free(s.memory)
	s.memory, s.at = nil, nil
	return nil
}

func (s *store) find(name string, n int, d ir.DType) (unsafe.Pointer, error) {
	i, err := s.index.Elements(name, n, d)
	if err != nil {
		return nil, err
	}
	if s.at == nil {
		return nil, errs.New(errs.Invalid, "onednn: the store is closed")
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
	i, err := s.index.Match(t)
	if err != nil {
		return nil, err
	}
	return s.at[i], nil
}
