package onednn

// #include "program.h"
import "C"

import (
	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
	"libdsl/lib/plan"
)

// executor is a thread and its team. oneDNN's team of threads belongs to the thread that calls it, so all calls are made there; flushing
// denormal numbers to zero is also set there, and never on a caller's thread.
type executor struct {
	winograd bool
	int8     bool
	engine   *C.dsl_engine
	thread   *osthread.Thread
}

// NewExecutor starts the thread.
func (b Backend) NewExecutor(o backend.Options) (backend.Executor, error) {
	if o.Threads < 0 {
		return nil, errs.New(errs.Invalid, "onednn: got %d threads, want 0 for all or a positive number", o.Threads)
	}
	if err := loaded(); err != nil {
		return nil, err
	}
	e := &executor{winograd: o.Winograd, int8: b.Int8}
	begin := func() error { return status(C.dsl_engine_new(C.int(o.Threads), &e.engine)) }
	var err error
	e.thread, err = osthread.Start("onednn", begin, func() { C.dsl_engine_free(e.engine) })
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Close ends the thread.
func (e *executor) Close() error {
	e.thread.Close()
	return nil
}

// Compile builds the C steps of a plan.
func (e *executor) Compile(p *plan.Plan, s backend.Store) (backend.Program, error) {
	st, ok := s.(*store)
	if !ok {
		return nil, errs.New(errs.Invalid, "onednn: the store belongs to another backend")
	}
	prog := newProgram(e, p, st)
	if err := e.thread.Do(osthread.NewJob(prog.compile)); err != nil {
		prog.Close()
		return nil, err
	}
	return prog, nil
}
