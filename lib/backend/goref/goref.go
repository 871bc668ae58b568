// Package goref runs programs in plain Go: the reference that every other backend is held against, and the kernels behind graph's
// ops when Gorgonia's TapeMachine runs them in tests.
//
// It is written to be read and trusted, not to be fast: sums are taken in float64, one operation after the other, and every result is a
// function of the inputs alone.
package goref

import (
	"context"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

func init() { backend.Register("goref", backend.OnCPU(Backend{})) }

// Backend is the plain-Go backend, named "goref".
type Backend struct{}

// Name is "goref".
func (Backend) Name() string { return "goref" }

// Device is the processor.
func (Backend) Device() string { return "cpu, f32" }

// Environment is this code alone.
func (Backend) Environment() string { return "" }

// PlanOptions: goref keeps every tensor as ir describes it, and sums a convolution up before it writes.
func (Backend) PlanOptions() plan.Options { return plan.Options{OverResidual: true} }

// Batches are what oneDNN's backend has: nothing is gained from one, but programs are the same.
func (Backend) Batches() backend.Batches { return backend.Batches{Pixels: 1 << 19} }

// NewStore makes zeroed tensors on the Go heap.
func (Backend) NewStore(tensors []ir.Tensor) (backend.Store, error) {
	index, err := backend.NewTensors("goref", tensors)
	if err != nil {
		return nil, err
	}
	s := &store{index: index}
	for _, t := range tensors {
		s.bufs = append(s.bufs, newBuf(&t))
	}
	return s, nil
}

// NewExecutor returns an executor that runs programs on the goroutine that calls them.
func (Backend) NewExecutor(backend.Options) (backend.Executor, error) { return executor{}, nil }

type store struct {
	index *backend.Tensors
	bufs  []Buf
}

func (s *store) Close() error { return nil }

func (s *store) find(name string, n int, d ir.DType) (Buf, error) {
	i, err := s.index.Elements(name, n, d)
	if err != nil {
		return Buf{}, err
	}
	return s.bufs[i], nil
}

func (s *store) Write(name string, src []float32) error {
	b, err := s.find(name, len(src), ir.F32)
	copy(b.F, src)
	return err
}

func (s *store) Read(name string, dst []float32) error {
	b, err := s.find(name, len(dst), ir.F32)
	copy(dst, b.F)
	return err
}

func (s *store) WriteInts(name string, src []int32) error {
	b, err := s.find(name, len(src), ir.I32)
	copy(b.I, src)
	return err
}

func (s *store) ReadInts(name string, dst []int32) error {
	b, err := s.find(name, len(dst), ir.I32)
	copy(dst, b.I)
	return err
}

type executor struct{}

func (executor) Close() error { return nil }

func (executor) Compile(p *plan.Plan, s backend.Store) (backend.Program, error) {
	st, ok := s.(*store)
	if !ok {
		return nil, errs.New(errs.Invalid, "goref: the store belongs to another backend")
	}
	prog := &program{plan: p, bufs: make([]Buf, len(p.Tensors))}
	arena := make([]uint64, (p.ArenaBytes+7)/8)
	for i := range p.Tensors {
		t := &p.Tensors[i]
		switch {
		case t.Role == ir.Param || t.Role == ir.State:
			at, err := st.index.Match(t)
			if err != nil {
				return nil, err
			}
			b := st.bufs[at]
			prog.bufs[i] = Buf{Shape: t.Shape, F: b.F, U: b.U, I: b.I}
		case t.Role == ir.Input:
			prog.bufs[i] = newBuf(t)
		case p.Offset[i] >= 0:
			prog.bufs[i] = view(t, unsafe.Pointer(uintptr(unsafe.Pointer(unsafe.SliceData(arena)))+uintptr(p.Offset[i])))
		}
	}
	prog.arena = arena
	return prog, nil
}

type program struct {
	plan  *plan.Plan
	bufs  []Buf
	arena []uint64
}

func (p *program) Close() error { return nil }

func (p *program) Input(name string) ([]byte, error) {
	id, err := backend.FindInput("goref", p.plan, name, ir.U8)
	if err != nil {
		return nil, err
	}
	b := p.bufs[id]
	if b.F != nil {
		b.U = unsafe.Slice((*byte)(unsafe.Pointer(&b.F[0])), 4*len(b.F))
	}
	return b.U, nil
}

func (p *program) InputF32(name string) ([]float32, error) {
	id, err := backend.FindInput("goref", p.plan, name, ir.F32)
	if err != nil {
		return nil, err
	}
	return p.bufs[id].F, nil
}

func (p *program) Output(name string) ([]float32, error) {
	id, err := backend.FindOutput("goref", p.plan, name)
	if err != nil {
		return nil, err
	}
	return p.bufs[id].F, nil
}

func (p *program) Kernels() []string {
	var out []string
	for _, s := range p.plan.Steps {
		out = append(out, s.Kind.String()+" go")
	}
	return out
}

// Forward runs Setup every time: it is cheap beside the rest here.
func (p *program) Forward(ctx context.Context, a *ir.Args) error {
	return p.run(ctx, a, ir.Setup, ir.Forward)
}

func (p *program) Backward(ctx context.Context, a *ir.Args) error {
	return p.run(ctx, a, ir.Backward, ir.Update)
}

func (p *program) run(ctx context.Context, a *ir.Args, from, to ir.Phase) error {
	in, out := make([]Buf, 0, 8), make([]Buf, 0, 4)
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.Phase < from || s.Phase > to {
			continue
		}
		if s.Phase != ir.Update && ctx.Err() != nil {
			return errs.Wrap(errs.Cancelled, ctx.Err(), "goref: cancelled")
		}
		in, out = in[:0], out[:0]
		for _, id := range s.In {
			in = append(in, p.bufs[id])
		}
		for _, id := range s.Out {
			if id == ir.None {
				out = append(out, Buf{})
				continue
			}
			out = append(out, p.bufs[id])
		}
		Run(s.Kind, &s.Attrs, a, in, out)
	}
	return nil
}
