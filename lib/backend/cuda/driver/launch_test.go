package driver_test

import (
	"strings"
	"testing"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/errs"
)

// function is one of libdsl's kernels on the first GPU.
func function(t *testing.T, name string) driver.Function {
	t.Helper()
	p, err := driver.Device(0)
	must(t, err)
	text, _, err := kernels.PTX(p.Major, p.Minor)
	must(t, err)
	m, err := driver.LoadModule(text)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	f, err := m.Function(name)
	must(t, err)
	return f
}

// sum launches z = x + y on n numbers.
func sum(s *driver.Stream, f driver.Function, x, y, z driver.Ptr, n int) error {
	return f.Launch(s, (n+255)/256, 1, 256, 0, uint64(x), uint64(y), uint64(z), uint64(n))
}

func TestALaunchComputesWithoutAllocating(t *testing.T) {
	s := onGPU(t)
	const n, runs = 300, 100 // of which AllocsPerRun makes one more
	f, one, y, host := function(t, "add_f32"), device(t, n), device(t, n), pinned(t, n)
	for i := range host {
		host[i] = 1
	}
	must(t, s.CopyIn(one, unsafe.Pointer(&host[0]), 4*n))
	must(t, s.Zero(y, 4*n))
	var failure error
	if got := testing.AllocsPerRun(runs, func() {
		if err := sum(s, f, one, y, y, n); err != nil {
			failure = err
		}
	}); got != 0 || failure != nil {
		t.Errorf("got %v allocations (%v), want none", got, failure)
	}
	must(t, s.CopyOut(unsafe.Pointer(&host[0]), y, 4*n))
	must(t, s.Synchronize())
	if host[0] != runs+1 || host[n-1] != runs+1 {
		t.Errorf("got %v … %v, want %d", host[0], host[n-1], runs+1)
	}
}

func TestALaunchThatCannotBeIsAnError(t *testing.T) {
	s := onGPU(t)
	f := function(t, "add_f32")
	for name, err := range map[string]error{
		"no blocks":          f.Launch(s, 0, 1, 256, 0, 0, 0, 0, 0),
		"too many rows":      f.Launch(s, 1, 65536, 256, 0, 0, 0, 0, 0),
		"too many columns":   f.Launch(s, 1<<31, 1, 256, 0, 0, 0, 0, 0),
		"too many arguments": f.Launch(s, 1, 1, 256, 0, make([]uint64, 33)...),
	} {
		if errs.KindOf(err) != errs.Internal {
			t.Errorf("%s: got %v, want an internal error", name, err)
		}
	}
}

func TestACapturedLaunchWaitsForItsGraph(t *testing.T) {
	s := onGPU(t)
	const n = 5
	f, x, host := function(t, "add_f32"), device(t, n), pinned(t, n)
	host[0], host[n-1] = 1, 3
	must(t, s.CopyIn(x, unsafe.Pointer(&host[0]), 4*n))
	must(t, s.BeginCapture())
	must(t, sum(s, f, x, x, x, n))
	g, err := s.EndCapture()
	must(t, err)
	for range 4 {
		must(t, g.Launch(s))
	}
	must(t, s.CopyOut(unsafe.Pointer(&host[0]), x, 4*n))
	must(t, s.Synchronize())
	if host[0] != 16 || host[n-1] != 48 {
		t.Errorf("doubled four times: got %v and %v, want 16 and 48", host[0], host[n-1])
	}
	must(t, g.Close())
}

func TestAStreamSurvivesACaptureThatFailed(t *testing.T) {
	s := onGPU(t)
	x, host := device(t, 1), pinned(t, 1)
	must(t, s.BeginCapture())
	must(t, s.Zero(x, 4))
	if err := s.Synchronize(); errs.KindOf(err) != errs.Device {
		t.Errorf("waiting in a capture: got %v, want a device error", err)
	}
	if _, err := s.EndCapture(); err == nil {
		t.Error("the capture succeeded")
	}
	emulated.Problems() // the wait, which the double noted
	must(t, s.Zero(x, 4))
	host[0] = 7
	must(t, s.CopyOut(unsafe.Pointer(&host[0]), x, 4))
	must(t, s.Synchronize())
	if host[0] != 0 {
		t.Errorf("got %v, want 0", host[0])
	}
}

func TestKernelsThatCannotBeLoaded(t *testing.T) {
	onGPU(t)
	_, err := driver.LoadModule([]byte(".version 99.9\n.target sm_70\n.address_size 64\n\x00"))
	if errs.KindOf(err) != errs.Device || !strings.Contains(err.Error(), "compiler says") || !strings.Contains(err.Error(), "99.9") {
		t.Errorf("a PTX of the future: got %v, want the compiler's words", err)
	}
	p, err := driver.Device(0)
	must(t, err)
	text, _, err := kernels.PTX(p.Major, p.Minor)
	must(t, err)
	m, err := driver.LoadModule(text)
	must(t, err)
	if _, err := m.Function("no_such_kernel"); errs.KindOf(err) != errs.NotFound || !strings.Contains(err.Error(), "no_such_kernel") {
		t.Errorf("a kernel that is not there: got %v", err)
	}
	must(t, m.Close())
}
