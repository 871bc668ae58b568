package nvlib

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
)

// gpu is a thread with a context, a stream and handles, on the emulated device or on a real one.
type gpu struct {
	t       *testing.T
	stream  *driver.Stream
	handles *Handles
	memory  []driver.Ptr
}

// ok ends the test for an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// value is ok for a call that returns something.
func value[V any](v V, err error) func(*testing.T) V {
	return func(t *testing.T) V {
		t.Helper()
		ok(t, err)
		return v
	}
}

// newGPU starts what a test needs. When the test ends all of it is closed, and nothing may be left.
func newGPU(t *testing.T) *gpu {
	t.Helper()
	emulated.Start(t)
	runtime.LockOSThread()
	info := value(driver.Open())(t)
	context := value(driver.Retain(0))(t)
	ok(t, context.Use())
	value(Open(info.Version))(t)
	g := &gpu{t: t, stream: value(driver.NewStream())(t)}
	g.handles = value(NewHandles(g.stream.Handle()))(t)
	t.Cleanup(func() {
		g.handles.Close()
		for _, p := range g.memory {
			ok(t, driver.Free(p))
		}
		ok(t, g.stream.Close())
		ok(t, context.Drop())
		ok(t, context.Release())
		for kind, n := range emulated.Live() {
			t.Errorf("%d left of %s", n, kind)
		}
		runtime.UnlockOSThread()
	})
	return g
}

// alloc is memory that is freed when the test ends.
func (g *gpu) alloc(bytes int) uint64 {
	g.t.Helper()
	p := value(driver.Alloc(int64(max(bytes, 1))))(g.t)
	g.memory = append(g.memory, p)
	return uint64(p)
}

// upload copies elements of the type into fresh memory.
func (g *gpu) upload(typ Type, values []float32) uint64 {
	g.t.Helper()
	at := g.alloc(len(values) * size(typ))
	g.write(at, typ, values)
	return at
}

func (g *gpu) write(at uint64, typ Type, values []float32) {
	g.t.Helper()
	raw := encode(typ, values)
	ok(g.t, driver.CopyIn(driver.Ptr(at), unsafe.Pointer(&raw[0]), int64(len(raw))))
}

// download waits for the stream and reads elements.
func (g *gpu) download(at uint64, typ Type, count int) []float32 {
	g.t.Helper()
	ok(g.t, g.stream.Synchronize())
	raw := make([]byte, count*size(typ))
	ok(g.t, driver.CopyOut(unsafe.Pointer(&raw[0]), driver.Ptr(at), int64(len(raw))))
	return decode(typ, raw)
}

func size(typ Type) int {
	if typ == BF16 {
		return 2
	}
	return 4
}

// bf16 rounds to nearest, ties to even.
func bf16(v float32) uint16 {
	b := math.Float32bits(v)
	return uint16((b + 0x7FFF + b>>16&1) >> 16)
}

func round(typ Type, v float32) float32 {
	if typ == BF16 {
		return math.Float32frombits(uint32(bf16(v)) << 16)
	}
	return v
}

func encode(typ Type, values []float32) []byte {
	raw := make([]byte, 0, len(values)*size(typ))
	for _, v := range values {
		b := math.Float32bits(v)
		if typ == BF16 {
			b = uint32(bf16(v))
		}
		for i := range size(typ) {
			raw = append(raw, byte(b>>(8*i)))
		}
	}
	return raw
}

func decode(typ Type, raw []byte) []float32 {
	values := make([]float32, len(raw)/size(typ))
	for i := range values {
		var b uint32
		for j := range size(typ) {
			b |= uint32(raw[i*size(typ)+j]) << (8 * j)
		}
		if typ == BF16 {
			b <<= 16
		}
		values[i] = math.Float32frombits(b)
	}
	return values
}

// random numbers around 0, as the type has them.
func random(r *rand.Rand, typ Type, count int) []float32 {
	values := make([]float32, count)
	for i := range values {
		values[i] = round(typ, float32(r.NormFloat64()))
	}
	return values
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
