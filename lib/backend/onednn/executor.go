package onednn

// #include "program.h"
import "C"

import (
	"runtime"
	"sync"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/plan"
)

// executor is one operating-system thread and its team. oneDNN's team of threads belongs to the thread that calls it, so all calls are made
// there; flushing denormal numbers to zero is also set there, and never on a caller's thread.
type executor struct {
	winograd bool
	engine   *C.dsl_engine
	jobs     chan job
	close    sync.Once
	ended    chan struct{}
}

// job is work for the executor's thread, and done takes its result.
type job struct {
	do   func() error
	done chan error
}

// NewExecutor starts the thread.
func (Backend) NewExecutor(o backend.Options) (backend.Executor, error) {
	if o.Threads < 0 {
		return nil, errs.New(errs.Invalid, "onednn: got %d threads, want 0 for all or a positive number", o.Threads)
	}
	e := &executor{winograd: o.Winograd, jobs: make(chan job), ended: make(chan struct{})}
	started := make(chan error)
	go e.loop(C.int(o.Threads), started)
	if err := <-started; err != nil {
		return nil, err
	}
	return e, nil
}

// loop never unlocks its thread: when it returns, the thread ends, and what was set on it with it.
func (e *executor) loop(threads C.int, started chan<- error) {
	runtime.LockOSThread()
	defer close(e.ended)
	err := status(C.dsl_engine_new(threads, &e.engine))
	started <- err
	if err != nil {
		return
	}
	for j := range e.jobs {
		j.done <- safely(j.do)
	}
	C.dsl_engine_free(e.engine)
}

func safely(do func() error) (err error) {
	defer errs.Recover(&err)
	return do()
}

// run does a job on the thread and waits for it.
func (e *executor) run(do func() error) error {
	done := make(chan error, 1)
	e.jobs <- job{do, done}
	return <-done
}

// Close ends the thread.
func (e *executor) Close() error {
	e.close.Do(func() {
		close(e.jobs)
		<-e.ended
	})
	return nil
}

// Compile builds the C steps of a plan.
func (e *executor) Compile(p *plan.Plan, s backend.Store) (backend.Program, error) {
	st, ok := s.(*store)
	if !ok {
		return nil, errs.New(errs.Invalid, "onednn: the store belongs to another backend")
	}
	prog := newProgram(e, p, st)
	if err := e.run(prog.compile); err != nil {
		prog.Close()
		return nil, err
	}
	return prog, nil
}
