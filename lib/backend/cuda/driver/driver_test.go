package driver_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onGPU makes the first GPU's context current for the test, and checks that the test frees what it made.
func onGPU(t *testing.T) *driver.Stream {
	t.Helper()
	emulated.Start(t)
	_, err := driver.Open()
	must(t, err)
	runtime.LockOSThread()
	c, err := driver.Retain(0)
	must(t, err)
	must(t, c.Use())
	s, err := driver.NewStream()
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close())
		must(t, c.Drop())
		must(t, c.Release())
		runtime.UnlockOSThread()
		if live := emulated.Live(); len(live) != 0 {
			t.Errorf("still there: %v", live)
		}
	})
	return s
}

// pinned is memory that streams copy from and to.
func pinned(t *testing.T, n int) []float32 {
	t.Helper()
	p, err := driver.HostAlloc(int64(4 * n))
	must(t, err)
	t.Cleanup(func() { must(t, driver.HostFree(p)) })
	return unsafe.Slice((*float32)(p), n)
}

func device(t *testing.T, n int) driver.Ptr {
	t.Helper()
	p, err := driver.Alloc(int64(4 * n))
	must(t, err)
	t.Cleanup(func() { must(t, driver.Free(p)) })
	return p
}

func TestCopiesGoThroughAStreamAndBesideIt(t *testing.T) {
	s := onGPU(t)
	const n = 1000
	in, out, a, b := pinned(t, n), pinned(t, n), device(t, n), device(t, n)
	for i := range in {
		in[i] = float32(i)
	}
	must(t, s.CopyIn(a, unsafe.Pointer(&in[0]), 4*n))
	must(t, s.Copy(b, a, 4*n))
	must(t, s.Zero(b, 8))
	must(t, s.CopyOut(unsafe.Pointer(&out[0]), b, 4*n))
	must(t, s.Synchronize())
	want := append([]float32{0, 0}, in[2:]...)
	if !slices.Equal(out, want) {
		t.Errorf("got %v…, want %v…", out[:4], want[:4])
	}
	plain := make([]float32, n)
	must(t, driver.CopyIn(a, unsafe.Pointer(&want[0]), 4*n))
	must(t, driver.CopyOut(unsafe.Pointer(&plain[0]), a, 4*n))
	if !slices.Equal(plain, want) {
		t.Errorf("without a stream: got %v…, want %v…", plain[:4], want[:4])
	}
}

func TestAGraphRepeatsWhatWasCaptured(t *testing.T) {
	s := onGPU(t)
	in, out, a := pinned(t, 1), pinned(t, 1), device(t, 1)
	must(t, s.BeginCapture())
	must(t, s.CopyIn(a, unsafe.Pointer(&in[0]), 4))
	must(t, s.CopyOut(unsafe.Pointer(&out[0]), a, 4))
	g, err := s.EndCapture()
	must(t, err)
	begin, err := driver.NewEvent()
	must(t, err)
	end, err := driver.NewEvent()
	must(t, err)
	must(t, begin.Record(s))
	for i := range 3 {
		in[0] = float32(i + 1)
		must(t, g.Launch(s))
		must(t, s.Synchronize())
		if out[0] != in[0] {
			t.Errorf("launch %d: got %v, want %v", i, out[0], in[0])
		}
	}
	must(t, end.Record(s))
	must(t, end.Synchronize())
	if ms, err := end.Since(begin); err != nil || ms < 0 {
		t.Errorf("time between events: got %v ms (%v)", ms, err)
	}
	for _, err := range []error{begin.Close(), end.Close(), g.Close()} {
		must(t, err)
	}
}

func TestAStreamWaitsForAnothersEvent(t *testing.T) {
	compute := onGPU(t)
	copies, err := driver.NewStream()
	must(t, err)
	const n = 1 << 20
	in, out, a := pinned(t, n), pinned(t, n), device(t, n)
	copied, err := driver.NewEvent()
	must(t, err)
	read, err := driver.NewEvent()
	must(t, err)
	for i := range 5 {
		in[0], in[n-1] = float32(i), float32(-i)
		must(t, copies.Wait(read)) // the first time it was not recorded, which is no wait
		must(t, copies.CopyIn(a, unsafe.Pointer(&in[0]), 4*n))
		must(t, copied.Record(copies))
		must(t, compute.Wait(copied))
		must(t, compute.CopyOut(unsafe.Pointer(&out[0]), a, 4*n))
		must(t, read.Record(compute))
		must(t, compute.Synchronize())
		if out[0] != in[0] || out[n-1] != in[n-1] {
			t.Errorf("round %d: got %v and %v", i, out[0], out[n-1])
		}
	}
	for _, err := range []error{copied.Close(), read.Close(), copies.Close()} {
		must(t, err)
	}
}

func TestTooMuchMemoryIsAnErrorWithNumbers(t *testing.T) {
	onGPU(t)
	free, total, err := driver.MemInfo()
	must(t, err)
	if _, err := driver.Alloc(total * 2); errs.KindOf(err) != errs.OutOfMemory || !strings.Contains(err.Error(), "MB are free") ||
		!strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY (2)") {
		t.Errorf("twice the memory: got %v", err)
	}
	if now, _, err := driver.MemInfo(); err != nil || now != free && !emulated.Real() {
		t.Errorf("free memory afterwards: got %d (%v), want %d", now, err, free)
	}
}

func TestBadKernelsAreErrors(t *testing.T) {
	onGPU(t)
	if _, err := driver.LoadModule([]byte("no PTX at all\x00")); errs.KindOf(err) != errs.Device {
		t.Errorf("garbage: got %v, want a device error", err)
	}
	if _, err := driver.LoadModule([]byte("not ended")); errs.KindOf(err) != errs.Internal {
		t.Errorf("a text without its zero: got %v, want an internal error", err)
	}
}

func TestAThreadWithoutContextGetsAnError(t *testing.T) {
	onGPU(t)
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends
		_, err := driver.NewStream()
		failed <- err
	}()
	if err := <-failed; errs.KindOf(err) != errs.Device {
		t.Errorf("got %v, want a device error", err)
	}
	emulated.Problems() // which the double noted
}
