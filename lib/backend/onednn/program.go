package onednn

// #include "program.h"
import "C"

import (
	"context"
	"sync/atomic"
	"unsafe"

	"libdsl/lib/errs"
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
	host    []unsafe.Pointer
	owned   []unsafe.Pointer
	cancel  *int32
	args    C.dsl_args
	updates bool
	packed  int64 // the store's version that Setup ran on
	forward job
	back    job
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
	prog.forward = job{prog.runForward, make(chan error, 1)}
	prog.back = job{prog.runBackward, make(chan error, 1)}
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

func (p *program) input(name string, d ir.DType) (unsafe.Pointer, *ir.Tensor, error) {
	id, ok := p.plan.Find(name)
	if !ok || p.plan.Tensors[id].Role != ir.Input || p.c == nil {
		return nil, nil, errs.New(errs.NotFound, "onednn: input %q is not in the program", name)
	}
	t := &p.plan.Tensors[id]
	if t.DType != d && d == ir.F32 {
		return nil, nil, errs.New(errs.Invalid, "onednn: input %q: got float32, want element type %d", name, t.DType)
	}
	return p.host[id], t, nil
}

func (p *program) Input(name string) ([]byte, error) {
	at, t, err := p.input(name, ir.U8)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(at), plan.Dense(t)), nil
}

func (p *program) InputF32(name string) ([]float32, error) {
	at, t, err := p.input(name, ir.F32)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*float32)(at), t.Shape.Count()), nil
}

func (p *program) Output(name string) ([]float32, error) {
	for i := range p.plan.Tensors {
		if t := &p.plan.Tensors[i]; t.Output && t.Name == name && p.host[i] != nil && t.DType == ir.F32 && p.c != nil {
			return unsafe.Slice((*float32)(p.host[i]), t.Shape.Count()), nil
		}
	}
	return nil, errs.New(errs.NotFound, "onednn: output %q is not in the program", name)
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
func (p *program) run(ctx context.Context, a *ir.Args, j job) error {
	if p.c == nil {
		return errs.New(errs.Invalid, "onednn: the program is closed")
	}
	if err := ctx.Err(); err != nil {
		return errs.Wrap(errs.Cancelled, err, "onednn: cancelled")
	}
	p.setArgs(a)
	atomic.StoreInt32(p.cancel, 0)
	if err := p.ex.start(j); err != nil {
		return err
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		atomic.StoreInt32(p.cancel, 1)
		return <-j.done
	}
}

func (p *program) setArgs(a *ir.Args) {
	if a == nil {
		a = &ir.Args{}
	}
	p.args = C.dsl_args{lr: C.double(a.LR), weight_decay: C.double(a.WeightDecay), beta1: C.double(a.Beta1), beta2: C.double(a.Beta2),
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
