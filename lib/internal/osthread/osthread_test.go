package osthread

import (
	"errors"
	"syscall"
	"testing"

	"libdsl/lib/errs"
)

func TestAllJobsRunOnOneThreadWhichEndsWithIt(t *testing.T) {
	var begun, ended int
	th, err := Start("test", func() error { begun = syscall.Gettid(); return nil }, func() { ended = syscall.Gettid() })
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("failure")
	var seen int
	j := NewJob(func() error { seen = syscall.Gettid(); return failure })
	for range 3 {
		seen = 0
		if err := th.Do(j); err != failure || seen != begun {
			t.Errorf("got %v on thread %d, want %v on thread %d", err, seen, failure, begun)
		}
	}
	if n := testing.AllocsPerRun(100, func() { th.Do(j) }); n != 0 {
		t.Errorf("a job allocates %v times, want 0", n)
	}
	th.Close()
	th.Close()
	if ended != begun {
		t.Errorf("the end ran on thread %d, want %d", ended, begun)
	}
	if err := th.Do(j); errs.KindOf(err) != errs.Invalid {
		t.Errorf("after Close: got %v, want an Invalid error", err)
	}
}

func TestAFailedBeginIsTheError(t *testing.T) {
	failure := errors.New("failure")
	if _, err := Start("test", func() error { return failure }, func() { t.Error("the end ran") }); err != failure {
		t.Errorf("got %v, want %v", err, failure)
	}
}

func TestAPanicIsAnErrorAndTheThreadGoesOn(t *testing.T) {
	th, err := Start("test", func() error { return nil }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer th.Close()
	if err := th.Do(NewJob(func() error { panic("boom") })); errs.KindOf(err) != errs.Internal {
		t.Errorf("got %v, want an Internal error", err)
	}
	if err := th.Do(NewJob(func() error { return nil })); err != nil {
		t.Error(err)
	}
}
