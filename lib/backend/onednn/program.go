package onednn

// #include "program.h"
import "C"

import (
	"context"
	"sync/atomic"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// program is a compiled plan. at and layout are the place of each tensor and how it lies there; host is the dense memory that the caller sees of
// inputs and outputs.
type program struct {
	ex      *executor
	plan    *plan.Plan
	store   *store
	c       *C.dsl_program
	at      []unsafe.Pointer
	layout  []layout
	eight   *eight // nil where all is float32
	scaled  scaled
	host    []unsafe.Pointer
	owned   []unsafe.Pointer
	cancel  *int32
	args    C.dsl_args
	updates bool
	packed  int64 // the store's version that Setup ran on
	forward *osthread.Job
	back    *osthread.Job
}

// layout says how a tensor lies in memory: dense as in ir, or as activations are kept between steps.
type layout uint8

const (
	dense layout = iota
	activation
)

func newProgram(e *executor, p *plan.Plan, s *store) *program {
	n := len(p.Tensors)
	prog := &program{ex: e, plan: p, store: s, at: make([]unsafe.Pointer, n), layout: make([]layout, n), host: make([]unsafe.Pointer, n)}
	prog.forward, prog.back = osthread.NewJob(prog.runForward), osthread.NewJob(prog.runBackward)
	for i := range p.Steps {
		prog.updates = prog.updates || p.Steps[i].Phase == ir.Update
	}
	return prog
}

// memory is owned by the program.
func (p *program) memory(bytes int64) (unsafe.Pointer, error) {
	m, err := alloc(bytes)
	if err == nil {
		p.owned = append(p.owned, m)
	}
	return m, err
}

func (p *program) Input(name string) ([]byte, error) {
	id, err := backend.FindInput("onednn", p.plan, name, ir.U8)
	if err != nil || p.c == nil {
		return nil, orClosed(err)
	}
	return unsafe.Slice((*byte)(p.host[id]), plan.Dense(&p.plan.Tensors[id])), nil
}

func (p *program) InputF32(name string) ([]float32, error) {
	id, err := backend.FindInput("onednn", p.plan, name, ir.F32)
	if err != nil || p.c == nil {
		return nil, orClosed(err)
	}
	return unsafe.Slice((*float32)(p.host[id]), p.plan.Tensors[id].Shape.Count()), nil
}

func (p *program) Output(name string) ([]float32, error) {
	id, err := backend.FindOutput("onednn", p.plan, name)
	if err != nil || p.c == nil {
		return nil, orClosed(err)
	}
	return unsafe.Slice((*float32)(p.host[id]), p.plan.Tensors[id].Shape.Count()), nil
}

// orClosed is the error of a program that has none but is closed.
func orClosed(err error) error {
	if err != nil {
		return err
	}
	return errs.New(errs.Invalid, "onednn: the program is closed")
}

func (p *program) Kernels() []string {
	if p.c == nil {
		return nil
	}
	out := make([]string, len(p.plan.Steps))
	for i := range p.plan.Steps {
		out[i] = p.plan.Steps[i].Kind.String() + " " + C.GoString(C.dsl_program_kernel_name(p.c, C.int(i)))
	}
	return out
}

func (p *program) Forward(ctx context.Context, a *ir.Args) error  { return p.run(ctx, a, p.forward) }
func (p *program) Backward(ctx context.Context, a *ir.Args) error { return p.run(ctx, a, p.back) }

// run hands a job to the executor's thread. While it waits, this goroutine is the one that watches the context.
func (p *program) run(ctx context.Context, a *ir.Args, j *osthread.Job) error {
	if p.c == nil {
		return orClosed(nil)
	}
	if err := ctx.Err(); err != nil {
		return errs.Wrap(errs.Cancelled, err, "onednn: cancelled")
	}
	p.setArgs(a)
	atomic.StoreInt32(p.cancel, 0)
	if err := p.ex.thread.Begin(j); err != nil {
		return err
	}
	select {
	case err := <-j.Done():
		return err
	case <-ctx.Done():
		atomic.StoreInt32(p.cancel, 1)
		return <-j.Done()
	}
}

func (p *program) setArgs(a *ir.Args) {
	if a == nil {
		a = &ir.Args{}
	}
	p.args = C.dsl_args{lr: C.double(a.LR), row_lr: C.double(a.RowLR), weight_decay: C.double(a.WeightDecay), beta1: C.double(a.Beta1), beta2: C.double(a.Beta2),
		adam_eps: C.double(a.AdamEps), bn_momentum: C.double(a.BNMomentum), step: C.int64_t(a.Step), dropout_key: C.uint64_t(a.DropoutKey)}
}

func (p *program) runForward() error {
	from, version := C.int(C.DSL_FORWARD), p.store.version.Load()
	if p.packed != version {
		from = C.DSL_SETUP
		p.packed = 0
	}
	err := status(C.dsl_program_run(p.c, from, C.DSL_FORWARD, &p.args))
	if err == nil {
		p.packed = version
	}
	return err
}

func (p *program) runBackward() error {
	err := status(C.dsl_program_run(p.c, C.DSL_BACKWARD, C.DSL_UPDATE, &p.args))
	if p.updates {
		p.store.version.Add(1)
	}
	return err
}

// Profile starts (on) or stops timing steps, and returns the milliseconds that each step of Kernels took since timing last started. It is no
// part of the interface: tools that look for slow steps ask for it.
func (p *program) Profile(on bool) []float64 {
	flag := C.int(0)
	if on {
		flag = 1
	}
	ms := make([]float64, len(p.plan.Steps))
	if len(ms) > 0 && p.c != nil {
		at := C.dsl_program_profile(p.c, flag)
		copy(ms, unsafe.Slice((*float64)(unsafe.Pointer(at)), len(ms)))
	}
	return ms
}

func (p *program) Close() error {
	if p.c != nil {
		c := p.c
		p.c = nil
		C.dsl_program_free(c)
	}
	for _, m := range p.owned {
		C.dsl_free(m)
	}
	p.owned = nil
	return nil
}
