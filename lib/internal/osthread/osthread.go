// Package osthread runs work on one operating-system thread of its own: where an OpenMP team, a CUDA context or a processor flag belongs
// to the thread, all calls have to come from it.
package osthread

import (
	"runtime"
	"sync"

	"libdsl/lib/errs"
)

// Thread is an operating-system thread that runs jobs one at a time.
type Thread struct {
	name  string
	jobs  chan *Job
	close sync.Once
	quit  chan struct{}
	ended chan struct{}
}

// Job is work for a thread. It can be run any number of times, one at a time, and then allocates nothing.
type Job struct {
	do   func() error
	done chan error
}

// NewJob makes a job.
func NewJob(do func() error) *Job { return &Job{do, make(chan error, 1)} }

// Start starts a thread called name, runs begin on it, and end when it is closed; a failed begin is Start's error, and end is then not run.
func Start(name string, begin func() error, end func()) (*Thread, error) {
	t := &Thread{name: name, jobs: make(chan *Job), quit: make(chan struct{}), ended: make(chan struct{})}
	started := make(chan error)
	go t.loop(started, begin, end)
	if err := <-started; err != nil {
		return nil, err
	}
	return t, nil
}

// loop never unlocks its thread: when it returns, the thread ends, and what was set on it with it.
func (t *Thread) loop(started chan<- error, begin func() error, end func()) {
	runtime.LockOSThread()
	defer close(t.ended)
	err := safely(begin)
	started <- err
	if err != nil {
		return
	}
	defer end()
	for {
		select {
		case j := <-t.jobs:
			j.done <- safely(j.do)
		case <-t.quit:
			return
		}
	}
}

func safely(do func() error) (err error) {
	defer errs.Recover(&err)
	return do()
}

// Begin hands a job to the thread, when the job before it is done; its result comes from Done. Errors: Invalid after Close.
func (t *Thread) Begin(j *Job) error {
	select {
	case t.jobs <- j:
		return nil
	case <-t.quit:
		return errs.New(errs.Invalid, "%s: the executor is closed", t.name)
	}
}

// Done gives the job's result, once.
func (j *Job) Done() <-chan error { return j.done }

// Do runs a job and waits for it.
func (t *Thread) Do(j *Job) error {
	if err := t.Begin(j); err != nil {
		return err
	}
	return <-j.done
}

// Close ends the thread after its job. It may be called twice.
func (t *Thread) Close() {
	t.close.Do(func() { close(t.quit) })
	<-t.ended
}
