package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

// bench is a GPU, or an emulated one, with the kernels loaded.
type bench struct {
	t      testing.TB
	stream *driver.Stream
	module *driver.Module
	held   []driver.Ptr
	shift  int // elements by which buffers begin behind an aligned address
	random *rand.Rand
}

// keepContext makes the context live as long as the process.
var keepContext = sync.OnceValue(func() error {
	_, err := driver.Retain(0)
	return err
})

// setUp puts the test on an operating-system thread of its own with the context current.
func setUp(t testing.TB) *bench {
	t.Helper()
	emulated.Start(t)
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	_, err := driver.Open()
	must(t, err)
	if emulated.Real() { // whose context takes long to make
		must(t, keepContext())
	}
	c, err := driver.Retain(0)
	must(t, err)
	t.Cleanup(func() { must(t, c.Release()) })
	must(t, c.Use())
	t.Cleanup(func() { must(t, c.Drop()) })
	b := &bench{t: t, random: rand.New(rand.NewPCG(1, 2))}
	props, err := driver.Device(0)
	must(t, err)
	text, _, err := kernels.PTX(props.Major, props.Minor)
	must(t, err)
	b.module, err = driver.LoadModule(text)
	must(t, err)
	t.Cleanup(func() { must(t, b.module.Close()) })
	b.stream, err = driver.NewStream()
	must(t, err)
	t.Cleanup(func() { must(t, b.stream.Close()) })
	t.Cleanup(b.free)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) free() {
	b.t.Helper()
	for _, p := range b.held {
		must(b.t, driver.Free(p))
	}
	b.held = nil
}

// buffer is a vector in device memory; the zero buffer is an absent operand.
type buffer struct {
	b     *bench
	at    driver.Ptr
	n     int
	bytes int // of an element
}

// empty is memory that is not a number in any type.
func (b *bench) empty(n, bytes int) buffer {
	b.t.Helper()
	fill := slices.Repeat([]byte{0xFF}, (max(n, 1)+b.shift)*bytes)
	p, err := driver.Alloc(int64(len(fill)))
	must(b.t, err)
	b.held = append(b.held, p)
	must(b.t, driver.CopyIn(p, unsafe.Pointer(&fill[0]), int64(len(fill))))
	return buffer{b, p + driver.Ptr(b.shift*bytes), n, bytes}
}

func upload[E any](b *bench, v []E) buffer {
	b.t.Helper()
	d := b.empty(len(v), int(unsafe.Sizeof(v[0])))
	must(b.t, driver.CopyIn(d.at, unsafe.Pointer(&v[0]), int64(d.n*d.bytes)))
	return d
}

func download[E any](d buffer) []E {
	d.b.t.Helper()
	v := make([]E, d.n)
	must(d.b.t, driver.CopyOut(unsafe.Pointer(&v[0]), d.at, int64(d.n*d.bytes)))
	return v
}

// element is a type of activations.
type element struct {
	bytes int
	tol   float64 // of a result rounded to the type, relative to the reference in the norm
}

// One float32 rounding is 6e-8; sums add to it. One bfloat16 rounding is at most 2⁻⁸, half a unit of its seven bits.
var elements = []element{{4, 2e-6}, {2, 4e-3}}

func (e element) String() string { return fmt.Sprintf("%d-bit", 8*e.bytes) }

// kernel is the name of the kernel for the type.
func (e element) kernel(name string) string { return kernels.Name(name, e.bytes) }

func toBF16(v float32) uint16 {
	u := math.Float32bits(v)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}
func fromBF16(u uint16) float32 { return math.Float32frombits(uint32(u) << 16) }

// round gives v as the type holds it.
func (e element) round(v []float32) []float32 {
	out := append([]float32(nil), v...)
	for i := range out {
		if e.bytes == 2 {
			out[i] = fromBF16(toBF16(out[i]))
		}
	}
	return out
}

// send uploads rounded numbers.
func (e element) send(b *bench, v []float32) buffer {
	b.t.Helper()
	if e.bytes == 4 {
		return upload(b, v)
	}
	half := make([]uint16, len(v))
	for i := range v {
		half[i] = toBF16(v[i])
	}
	return upload(b, half)
}

// floats reads a buffer of either type.
func floats(d buffer) []float32 {
	d.b.t.Helper()
	if d.bytes == 4 {
		return download[float32](d)
	}
	out := make([]float32, d.n)
	for i, u := range download[uint16](d) {
		out[i] = fromBF16(u)
	}
	return out
}

// launch runs a kernel and waits for it. Arguments are buffers, integers, doubles and booleans.
func (b *bench) launch(name string, x, y int, args ...any) {
	b.t.Helper()
	f, err := b.module.Function(name)
	must(b.t, err)
	var words []uint64
	for _, a := range args {
		switch v := a.(type) {
		case buffer:
			words = append(words, uint64(v.at))
		case int:
			words = append(words, uint64(v))
		case float64:
			words = append(words, math.Float64bits(v))
		case bool:
			words = append(words, uint64(map[bool]int{true: 1}[v]))
		default:
			b.t.Fatalf("%s: argument of type %T", name, a)
		}
	}
	must(b.t, f.Launch(b.stream, x, y, kernels.Threads, 0, words...))
	must(b.t, b.stream.Synchronize())
}

// normal draws n numbers, as the type holds them.
func (b *bench) normal(e element, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(b.random.NormFloat64())
	}
	return e.round(v)
}

var f32 = elements[0]

// positive draws n variances.
func (b *bench) positive(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 0.1 + b.random.Float32()
	}
	return v
}

// near fails unless |got − want| ≤ tol·|want| in the norm.
func near(t testing.TB, what string, got, want []float32, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d numbers, want %d", what, len(got), len(want))
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff, norm = diff+d*d, norm+float64(w)*float64(w)
	}
	if !(math.Sqrt(diff) <= tol*math.Sqrt(norm)) {
		t.Errorf("%s: relative error %.2g, want at most %.2g\n got %v\nwant %v", what, math.Sqrt(diff/norm), tol, head(got), head(want))
	}
}

// equal fails unless all are the same.
func equal[E comparable](t testing.TB, what string, got, want []E) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s: element %d: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

func head(v []float32) []float32 { return v[:min(len(v), 8)] }

// reference runs goref's kernel; out has the shapes of the outputs, nil for one that nobody reads.
func reference(kind ir.Kind, a ir.Attrs, args *ir.Args, in []goref.Buf, out ...ir.Shape) []goref.Buf {
	bufs := make([]goref.Buf, len(out))
	for i, s := range out {
		if s != nil {
			bufs[i] = goref.Buf{Shape: s, F: make([]float32, s.Count())}
			if ir.OutDType(kind, i) == ir.U8 {
				bufs[i].F, bufs[i].U = nil, make([]uint8, s.Count())
			}
		}
	}
	goref.Run(kind, &a, args, in, bufs)
	return bufs
}

func buf(v []float32, shape ...int) goref.Buf { return goref.Buf{Shape: shape, F: v} }

// eachShift runs f with buffers at aligned addresses and at others.
func eachShift(t *testing.T, f func(t *testing.T, b *bench)) {
	for shift := range 2 {
		t.Run(fmt.Sprint("shifted by ", shift), func(t *testing.T) {
			b := setUp(t)
			b.shift = shift
			f(t, b)
		})
	}
}

// eachType does so for each type of activations.
func eachType(t *testing.T, f func(t *testing.T, b *bench, e element)) {
	for _, e := range elements {
		t.Run(e.String(), func(t *testing.T) {
			eachShift(t, func(t *testing.T, b *bench) { f(t, b, e) })
		})
	}
}
