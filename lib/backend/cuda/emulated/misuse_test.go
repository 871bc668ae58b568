package emulated_test

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

// rig is a context with a stream and the kernels that have faults, on a thread of its own.
type rig struct {
	t       *testing.T
	context *driver.Context
	stream  *driver.Stream
	module  *driver.Module
}

const threads = 256

func setUp(t *testing.T) *rig {
	t.Helper()
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: the emulated driver is not in use")
	}
	emulated.Start(t)
	runtime.LockOSThread()
	_, err := driver.Open()
	must(t, err)
	r := &rig{t: t}
	r.context, err = driver.Retain(0)
	must(t, err)
	must(t, r.context.Use())
	r.stream, err = driver.NewStream()
	must(t, err)
	r.module, err = driver.LoadModule(ptx(map[string]int{
		"faulty_store": 2, "faulty_half_warp": 1, "faulty_meeting": 1, "faulty_race": 1, "faultless_meeting": 1, "add_f32": 4}))
	must(t, err)
	t.Cleanup(r.tearDown)
	return r
}

// tearDown fails on what was left, except after a failure of the device, which leaves nothing usable.
func (r *rig) tearDown() {
	if r.stream.Synchronize() == nil {
		must(r.t, r.stream.Close())
		must(r.t, r.module.Close())
	} else {
		emulated.Problems()
	}
	must(r.t, r.context.Release())
	must(r.t, r.context.Drop())
	runtime.UnlockOSThread()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ptx is a text with these entries, of so many parameters.
func ptx(entries map[string]int) []byte {
	text := ".version 7.0\n.target sm_70\n.address_size 64\n"
	for name, n := range entries {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(".param .u64 p%d", i)
		}
		text += fmt.Sprintf(".visible .entry %s(%s)\n{ ret; }\n", name, strings.Join(list, ", "))
	}
	return append([]byte(text), 0)
}

func (r *rig) launch(name string, args ...uint64) error {
	r.t.Helper()
	f, err := r.module.Function(name)
	must(r.t, err)
	return f.Launch(r.stream, 1, 1, threads, 0, args...)
}

func (r *rig) alloc(bytes int64) driver.Ptr {
	r.t.Helper()
	p, err := driver.Alloc(bytes)
	must(r.t, err)
	return p
}

func (r *rig) free(p driver.Ptr) {
	r.t.Helper()
	must(r.t, driver.Free(p))
}

func read(t *testing.T, p driver.Ptr, n int) []float32 {
	t.Helper()
	v := make([]float32, n)
	must(t, driver.CopyOut(unsafe.Pointer(&v[0]), p, int64(4*n)))
	return v
}

// expect takes the problems noted so far: each of the given words must be in one of its own.
func expect(t *testing.T, words ...string) {
	t.Helper()
	got := emulated.Problems()
	if len(got) != len(words) {
		t.Fatalf("got problems %q, want %d with %q", got, len(words), words)
	}
	for i, w := range words {
		if !strings.Contains(got[i], w) {
			t.Errorf("problem %d: got %q, want %q in it", i, got[i], w)
		}
	}
}

func refused(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want an error with %q", err, words)
	}
}

func TestWorkIsDoneWhenItIsWaitedFor(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	must(t, r.launch("faultless_meeting", uint64(y)))
	if v := read(t, y, 1); v[0] == v[0] {
		t.Errorf("before the wait: got %v, want memory that nobody wrote", v)
	}
	must(t, r.stream.Synchronize())
	if v := read(t, y, threads); v[0] != threads-1 || v[threads-1] != 0 {
		t.Errorf("after the wait: got %v … %v", v[0], v[threads-1])
	}
	r.free(y)
}

func TestFreshMemoryIsNotANumber(t *testing.T) {
	r := setUp(t)
	p := r.alloc(40)
	for _, v := range read(t, p, 10) {
		if !math.IsNaN(float64(v)) {
			t.Fatalf("got %v", v)
		}
	}
	r.free(p)
}

func TestMissingMeetingShows(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	must(t, r.launch("faulty_race", uint64(y)))
	must(t, r.stream.Synchronize())
	unset := 0
	for _, v := range read(t, y, threads) {
		if v != v {
			unset++
		}
	}
	if unset == 0 || unset == threads {
		t.Errorf("got %d of %d values unset, want some", unset, threads)
	}
	r.free(y)
}

func TestStoresOutsideMemory(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4)
	must(t, r.launch("faulty_store", uint64(y), 1))
	must(t, r.stream.Synchronize())
	expect(t, "behind the end of an allocation of 4 bytes")
	must(t, r.launch("faulty_store", uint64(y), 1<<16))
	refused(t, r.stream.Synchronize(), "CUDA_ERROR_ILLEGAL_ADDRESS")
	expect(t, "faulty_store: touches memory outside any allocation")
	_, err := driver.Alloc(4)
	refused(t, err, "CUDA_ERROR_ILLEGAL_ADDRESS")
}

func TestStoreIntoFreedMemory(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4)
	must(t, r.stream.BeginCapture())
	must(t, r.launch("faulty_store", uint64(y), 0))
	g, err := r.stream.EndCapture()
	must(t, err)
	must(t, g.Launch(r.stream))
	must(t, r.stream.Synchronize())
	r.free(y)
	must(t, g.Launch(r.stream))
	refused(t, r.stream.Synchronize(), "CUDA_ERROR_ILLEGAL_ADDRESS")
	expect(t, "outside any allocation")
	emulated.Problems()
}

func TestThreadsThatWaitForNobody(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	must(t, r.launch("faulty_half_warp", uint64(y)))
	refused(t, r.stream.Synchronize(), "CUDA_ERROR_LAUNCH_FAILED")
	expect(t, "faulty_half_warp: 0 threads wait at a barrier and 128 at a warp exchange")
}

func TestThreadsThatMeetUnannounced(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	must(t, r.launch("faulty_meeting", uint64(y)))
	refused(t, r.stream.Synchronize(), "CUDA_ERROR_LAUNCH_FAILED")
	expect(t, "declared by KERNEL")
}

func TestArguments(t *testing.T) {
	r := setUp(t)
	y := r.alloc(64)
	a := uint64(y)
	refused(t, r.launch("add_f32", a, a, a), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "add_f32: got 3 arguments, want 4")
	refused(t, r.launch("add_f32", a, a, a, 1, 1), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "add_f32: got 5 arguments, want 4")
	must(t, r.launch("faulty_store", a, a))
	expect(t, "argument 1 is no integer")
	must(t, r.launch("faulty_store", 3, 0))
	expect(t, "argument 0 is no device address")
	r.stream.Synchronize()
	emulated.Problems()
}

func TestFunctions(t *testing.T) {
	setUp(t)
	m, err := driver.LoadModule(ptx(map[string]int{"add_f32": 3, "unknown": 1}))
	must(t, err)
	_, err = m.Function("relu_f32")
	refused(t, err, "relu_f32")
	_, err = m.Function("unknown")
	refused(t, err, "unknown")
	_, err = m.Function("add_f32")
	refused(t, err, "CUDA_ERROR_INVALID_IMAGE")
	expect(t, "add_f32: the PTX has 3 parameters, the source 4")
	must(t, m.Close())
	refused(t, m.Close(), "CUDA_ERROR_INVALID_HANDLE")
	expect(t, "the module is none, or was destroyed")
}

func TestPTXThatTheDriverRefuses(t *testing.T) {
	setUp(t)
	for _, c := range []struct{ from, to, want string }{
		{".version 7.0", ".version 8.5", "newer than this driver"},
		{".target sm_70", ".target sm_100", "does not run on this device"},
		{".target sm_70", "", "no PTX"},
	} {
		_, err := driver.LoadModule([]byte(strings.Replace(string(ptx(nil)), c.from, c.to, 1)))
		refused(t, err, c.want)
	}
}

func TestMemoryMisuse(t *testing.T) {
	r := setUp(t)
	p := r.alloc(100)
	v := make([]byte, 101)
	refused(t, driver.CopyIn(p, unsafe.Pointer(&v[0]), 101), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "101 bytes at")
	refused(t, r.stream.CopyIn(p, unsafe.Pointer(&v[0]), 100), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "not pinned")
	refused(t, r.stream.Zero(p, 101), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "101 bytes at")
	r.free(p)
	refused(t, driver.Free(p), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "freed before")
	refused(t, driver.Free(p+8), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "no allocation")
}

func TestMemoryThatRunsOut(t *testing.T) {
	r := setUp(t)
	t.Setenv("DSL_EMULATED_MEMORY", "1000000")
	p := r.alloc(600000)
	if _, err := driver.Alloc(600000); errs.KindOf(err) != errs.OutOfMemory {
		t.Errorf("got %v, want an OutOfMemory error", err)
	}
	if free, total, err := driver.MemInfo(); err != nil || total != 1000000 || free > 400000 {
		t.Errorf("got %d of %d bytes free, %v", free, total, err)
	}
	r.free(p)
}

func TestThreadsWithoutAContext(t *testing.T) {
	r := setUp(t)
	must(t, r.context.Drop())
	_, err := driver.Alloc(4)
	refused(t, err, "CUDA_ERROR_INVALID_CONTEXT")
	expect(t, "no context is current on this thread")
	must(t, r.context.Use())
}

func TestStreamsOfAnotherContext(t *testing.T) {
	r := setUp(t)
	t.Setenv("DSL_EMULATED_DEVICES", "2")
	other, err := driver.Retain(1)
	must(t, err)
	must(t, other.Use())
	refused(t, r.stream.Synchronize(), "CUDA_ERROR_INVALID_HANDLE")
	expect(t, "belongs to another context")
	must(t, r.context.Use())
	must(t, other.Release())
}

func TestCaptureIsReplayed(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4)
	must(t, r.stream.Zero(y, 4))
	one := float32(1)
	x := r.alloc(4)
	must(t, driver.CopyIn(x, unsafe.Pointer(&one), 4))
	must(t, r.stream.BeginCapture())
	must(t, r.launch("add_f32", uint64(y), uint64(x), uint64(y), 1))
	g, err := r.stream.EndCapture()
	must(t, err)
	for range 3 {
		must(t, g.Launch(r.stream))
	}
	must(t, r.stream.Synchronize())
	if v := read(t, y, 1); v[0] != 3 {
		t.Errorf("got %v after three launches, want 3", v[0])
	}
	must(t, g.Close())
	refused(t, g.Close(), "CUDA_ERROR_INVALID_HANDLE")
	expect(t, "the graph instance is none, or was destroyed")
	r.free(x)
	r.free(y)
}

func TestCaptureMisuse(t *testing.T) {
	r := setUp(t)
	for _, c := range []struct {
		name    string
		do      func() error
		problem string
	}{
		{"waiting", func() error { return r.stream.Synchronize() }, "the stream is being captured"},
		{"allocating", func() error { _, err := driver.Alloc(4); return err }, "while this thread captures"},
		{"beginning twice", func() error { return r.stream.BeginCapture() }, "captured already"},
	} {
		must(t, r.stream.BeginCapture())
		if c.do() == nil {
			t.Errorf("%s: was allowed in a capture", c.name)
		}
		expect(t, c.problem)
		if g, err := r.stream.EndCapture(); c.name == "beginning twice" {
			must(t, err)
			must(t, g.Close())
		} else {
			refused(t, err, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED")
		}
	}
	_, err := r.stream.EndCapture()
	refused(t, err, "CUDA_ERROR_ILLEGAL_STATE")
	expect(t, "not being captured")
}

func TestEventsOrderAndTime(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	a, err := driver.NewEvent()
	must(t, err)
	b, err := driver.NewEvent()
	must(t, err)
	must(t, a.Record(r.stream))
	must(t, r.launch("faultless_meeting", uint64(y)))
	must(t, b.Record(r.stream))
	_, err = b.Since(a)
	refused(t, err, "CUDA_ERROR_NOT_READY")
	must(t, b.Synchronize())
	if ms, err := b.Since(a); err != nil || ms < 1 || ms > 2 { // the kernel, and the mark of the event
		t.Errorf("got %v ms, %v", ms, err)
	}
	if v := read(t, y, 1); v[0] != threads-1 {
		t.Errorf("the event did not wait for the kernel before it: got %v", v)
	}
	must(t, a.Close())
	must(t, b.Close())
	r.free(y)
}

// overwritten copies 1 to x, reads it in one stream, and copies 2 to x in another, which may be told to wait: it returns what was read.
func (r *rig) overwritten(wait bool) float32 {
	t := r.t
	copies, err := driver.NewStream()
	must(t, err)
	read, err := driver.NewEvent()
	must(t, err)
	x := r.alloc(4)
	at, err := driver.HostAlloc(12)
	must(t, err)
	host := unsafe.Slice((*float32)(at), 3)
	host[0], host[1] = 1, 2
	must(t, r.stream.CopyIn(x, unsafe.Pointer(&host[0]), 4))
	must(t, r.stream.Synchronize())
	must(t, r.stream.CopyOut(unsafe.Pointer(&host[2]), x, 4))
	must(t, read.Record(r.stream))
	if wait {
		must(t, copies.Wait(read))
	}
	must(t, copies.CopyIn(x, unsafe.Pointer(&host[1]), 4))
	must(t, r.stream.Synchronize())
	got := host[2]
	must(t, copies.Close())
	must(t, read.Close())
	r.free(x)
	must(t, driver.HostFree(at))
	return got
}

func TestStreamsThatDoNotWaitRunInAnyOrder(t *testing.T) {
	r := setUp(t)
	for _, c := range []struct {
		name, order string
		wait        bool
		want        float32
		overtaken   int
	}{
		{"no wait, what is waited for first", "0", false, 1, 0},
		{"no wait, the others first", "1", false, 2, 1},
		{"a wait, what is waited for first", "0", true, 1, 0},
		{"a wait, the others first", "1", true, 1, 0},
	} {
		t.Setenv("DSL_EMULATED_ORDER", c.order)
		emulated.Overtaken()
		if got := r.overwritten(c.wait); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if got := emulated.Overtaken(); got != c.overtaken {
			t.Errorf("%s: %d copies overtook older work, want %d", c.name, got, c.overtaken)
		}
	}
}

func TestLeaksAreNamed(t *testing.T) {
	r := setUp(t)
	p := r.alloc(4)
	host, err := driver.HostAlloc(4)
	must(t, err)
	live := emulated.Live()
	for _, kind := range []string{"memory", "pinned memory", "stream", "module", "context"} {
		if live[kind] != 1 {
			t.Errorf("%s: got %d, want 1", kind, live[kind])
		}
	}
	r.free(p)
	must(t, driver.HostFree(host))
	refused(t, driver.HostFree(host), "CUDA_ERROR_INVALID_VALUE")
	expect(t, "no pinned memory")
}

// Every order gives what one order gives.
func TestOrderOfThreads(t *testing.T) {
	r := setUp(t)
	y := r.alloc(4 * threads)
	for seed := range 5 {
		must(t, os.Setenv("DSL_EMULATED_SEED", fmt.Sprint(seed)))
		must(t, r.launch("faultless_meeting", uint64(y)))
		must(t, r.stream.Synchronize())
		for i, v := range read(t, y, threads) {
			if int(v) != threads-1-i {
				t.Fatalf("seed %d: element %d: got %v", seed, i, v)
			}
		}
	}
	must(t, os.Unsetenv("DSL_EMULATED_SEED"))
	r.free(y)
}
