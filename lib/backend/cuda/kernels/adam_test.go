package kernels_test

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

var adamArgs = &ir.Args{LR: 1e-2, RowLR: 3e-2, WeightDecay: 1e-3, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, Step: 3}

// parameter is what Adam works on, on the host and on the device.
type parameter struct {
	host   [4][]float32 // dw, w, m, v
	device [4]buffer
}

func (b *bench) parameter(n int) *parameter {
	p := &parameter{host: [4][]float32{b.normal(f32, n), b.normal(f32, n), b.normal(f32, n), b.positive(n)}}
	for i := range p.host {
		p.device[i] = upload(b, p.host[i])
	}
	return p
}

// check compares after the reference has changed the host's copy.
func (p *parameter) check(t *testing.T, what string) {
	t.Helper()
	for i, name := range []string{"dw", "w", "m", "v"} {
		near(t, what+" "+name, floats(p.device[i]), p.host[i], 5e-7)
	}
}

// chunk is a piece of a parameter as the kernel finds it.
type chunk struct{ w, dw, m, v, n uint64 }

func TestAdamMulti(t *testing.T) {
	eachShift(t, func(t *testing.T, b *bench) {
		var all []*parameter
		var chunks []chunk
		for _, n := range []int{1, 3, 4, 1000, 5003} {
			p := b.parameter(n)
			all = append(all, p)
			for from := 0; from < n; from += 2048 {
				at := func(i int) uint64 { return uint64(p.device[i].at) + 4*uint64(from) }
				chunks = append(chunks, chunk{w: at(1), dw: at(0), m: at(2), v: at(3), n: uint64(min(2048, n-from))})
			}
		}
		args := upload(b, words(adamArgs))
		for range 3 {
			b.launch("adam_multi", len(chunks), 1, upload(b, chunks), args)
			for _, p := range all {
				n := len(p.host[0])
				reference(ir.Adam, ir.Attrs{}, adamArgs, []goref.Buf{buf(p.host[0], n), buf(p.host[1], n), buf(p.host[2], n), buf(p.host[3], n)})
				p.check(t, fmt.Sprint(n, " parameters"))
			}
		}
	})
}

func TestAdamRows(t *testing.T) {
	eachShift(t, func(t *testing.T, b *bench) {
		for _, each := range []int{1, 4, 20, 512, 771} {
			const rows = 5
			p := b.parameter(rows * each)
			count := []int32{0, 1, 7, 1000, 123456}
			countAt := upload(b, count)
			for _, mask := range [][]uint8{{1, 0, 1, 1, 1}, {0, 0, 0, 0, 0}, {1, 1, 0, 1, 1}} {
				b.launch("adam_rows", rows, 1, p.device[1], p.device[0], p.device[2], p.device[3], upload(b, mask), countAt, upload(b, words(adamArgs)), each)
				in := []goref.Buf{buf(p.host[0], rows, each), buf(p.host[1], rows, each), buf(p.host[2], rows, each), buf(p.host[3], rows, each),
					{Shape: ir.Shape{rows}, U: mask}, {Shape: ir.Shape{rows}, I: count}}
				reference(ir.Adam, ir.Attrs{PerRow: true}, adamArgs, in)
				p.check(t, fmt.Sprint(each, " per row"))
				equal(t, "counts", download[int32](countAt), count)
			}
		}
	})
}
