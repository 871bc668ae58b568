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
	quit     chan struct{}
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
	if err := loaded(); err != nil {
		return nil, err
	}
	e := &executor{winograd: o.Winograd, jobs: make(chan job), quit: make(chan struct{}), ended: make(chan struct{})}
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
	defer C.dsl_engine_free(e.engine)
	for {
		select {
		case j := <-e.jobs:
			j.done <- safely(j.do)
		case <-e.quit:
			return
		}
	}
}

func safely(do func() error) (err error) {
	defer errs.Recover(&err)
	return do()
}

// start hands a job to the thread. Who calls it waits on j.done.
func (e *executor) start(j job) error {
	select {
	case e.jobs <- j:
		return nil
	case <-e.quit:
		return errs.New(errs.Invalid, "onednn: the executor is closed")
	}
}

// Close ends the thread.
func (e *executor) Close() error {
	e.close.Do(func() { close(e.quit) })
	<-e.ended
	return nil
}

// Compile builds the C steps of a plan.
func (e *executor) Compile(p *plan.Plan, s backend.Store) (backend.Program, error) {
	st, ok := s.(*store)
	if !ok {
		return nil, errs.New(errs.Invalid, "onednn: the store belongs to another backend")
	}
	prog := newProgram(e, p, st)
	j := job{prog.compile, make(chan error, 1)}
	err := e.start(j)
	if err == nil {
		err = <-j.done
	}
	if err != nil {
		prog.Close()
		return nil, err
	}
	return prog, nil
}
