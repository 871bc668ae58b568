package kernels_test

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

// windows are kernel, stride and pad with the images that they run over.
var windows = []struct {
	kernel, stride, pad int
	x                   ir.Shape
}{
	{3, 2, 1, ir.Shape{2, 9, 8, 1}}, {3, 2, 1, ir.Shape{1, 7, 7, 3}}, {3, 2, 1, ir.Shape{3, 6, 5, 8}}, {3, 2, 1, ir.Shape{2, 5, 5, 20}},
	{2, 2, 0, ir.Shape{2, 5, 4, 16}}, {3, 1, 1, ir.Shape{1, 4, 6, 24}}, {2, 3, 0, ir.Shape{1, 8, 8, 64}}, {5, 2, 2, ir.Shape{1, 11, 3, 8}},
	{1, 1, 0, ir.Shape{1, 2, 2, 300}},
}

func TestMaxPool(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, w := range windows {
			x := b.normal(e, w.x.Count())
			copy(x[len(x)/2:], x[:len(x)/2]) // equals: the first wins
			ys := ir.Shape{w.x[0], ir.ConvOut(w.x[1], w.kernel, w.stride, w.pad), ir.ConvOut(w.x[2], w.kernel, w.stride, w.pad), w.x[3]}
			a := ir.Attrs{Kernel: w.kernel, Stride: w.stride, Pad: w.pad, In: [4]int(w.x)}
			want := reference(ir.MaxPool, a, nil, []goref.Buf{buf(x, w.x...)}, ys, ys)
			y, tap := b.empty(ys.Count(), e.bytes), b.empty(ys.Count(), 1)
			geometry := []any{w.x[0], w.x[1], w.x[2], w.x[3], ys[1], ys[2], w.kernel, w.stride, w.pad}
			gx, gy := kernels.RowGrid(ys[0]*ys[1]*ys[2], ys[3], e.bytes)
			xs := e.send(b, x)
			b.launch(e.kernel("max_pool"), gx, gy, append([]any{xs, y, tap}, geometry...)...)
			equal(t, fmt.Sprint(w, " y"), floats(y), want[0].F)
			equal(t, fmt.Sprint(w, " tap"), download[uint8](tap), want[1].U)

			alone := b.empty(ys.Count(), e.bytes)
			b.launch(e.kernel("max_pool"), 1, 1, append([]any{xs, alone, buffer{}}, geometry...)...)
			equal(t, fmt.Sprint(w, " y alone"), floats(alone), want[0].F)

			dy := b.normal(e, ys.Count())
			grad := reference(ir.MaxPoolGrad, a, nil, []goref.Buf{{Shape: ys, U: want[1].U}, buf(dy, ys...)}, w.x)
			dx := b.empty(w.x.Count(), e.bytes)
			gx, gy = kernels.RowGrid(w.x[0]*w.x[1]*w.x[2], w.x[3], e.bytes)
			b.launch(e.kernel("max_pool_grad"), gx, gy, append([]any{tap, e.send(b, dy), dx}, geometry...)...)
			equal(t, fmt.Sprint(w, " dx"), floats(dx), e.round(grad[0].F))
		}
	})
}

// featureMaps are images, height, width and channels.
var featureMaps = []ir.Shape{{1, 1, 1, 1}, {2, 7, 7, 3}, {3, 5, 4, 8}, {2, 7, 7, 20}, {1, 14, 14, 64}, {2, 3, 3, 520}}

func TestPool(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, s := range featureMaps {
			positions := s[1] * s[2]
			_, gy := kernels.RowGrid(s[0]*positions, s[3], e.bytes)
			x, dv := b.normal(e, s.Count()), b.normal(f32, s[0]*s[3])
			v, dx := b.empty(s[0]*s[3], 4), b.empty(s.Count(), e.bytes)
			b.launch(e.kernel("pool"), s[0], gy, e.send(b, x), v, s[0], positions, s[3])
			want := reference(ir.Pool, ir.Attrs{}, nil, []goref.Buf{buf(x, s...)}, ir.Shape{s[0], s[3]})[0].F
			near(t, fmt.Sprint(s, " v"), floats(v), want, 2e-6)

			gx, gy := kernels.RowGrid(s[0]*positions, s[3], e.bytes)
			b.launch(e.kernel("pool_grad"), gx, gy, upload(b, dv), dx, s[0], positions, s[3])
			want = reference(ir.PoolGrad, ir.Attrs{In: [4]int(s)}, nil, []goref.Buf{buf(dv, s[0], s[3])}, s)[0].F
			near(t, fmt.Sprint(s, " dx"), floats(dx), want, e.tol)
		}
	})
}

func TestGatedPool(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, s := range featureMaps {
			positions, gateShape, vShape := s[1]*s[2], ir.Shape{s[0], s[1], s[2], 1}, ir.Shape{s[0], s[3]}
			x, gate, dv := b.normal(e, s.Count()), b.normal(e, s[0]*positions), b.normal(f32, s[0]*s[3])
			xs, gates, dvs := e.send(b, x), e.send(b, gate), upload(b, dv)
			v := b.empty(s[0]*s[3], 4)
			_, gy := kernels.RowGrid(s[0]*positions, s[3], e.bytes)
			b.launch(e.kernel("gated_pool"), s[0], gy, xs, gates, v, s[0], positions, s[3])
			in := []goref.Buf{buf(x, s...), buf(gate, gateShape...), buf(dv, vShape...)}
			near(t, fmt.Sprint(s, " v"), floats(v), reference(ir.GatedPool, ir.Attrs{}, nil, in[:2], vShape)[0].F, 2e-6)

			want := reference(ir.GatedPoolGrad, ir.Attrs{}, nil, in, s, gateShape)
			for which := 1; which <= 3; which++ {
				dx, dgate := buffer{}, buffer{}
				if which&1 != 0 {
					dx = b.empty(s.Count(), e.bytes)
				}
				if which&2 != 0 {
					dgate = b.empty(s[0]*positions, e.bytes)
				}
				b.launch(e.kernel("gated_pool_grad"), which, 1, xs, gates, dvs, dx, dgate, s[0], positions, s[3])
				if which&1 != 0 {
					near(t, fmt.Sprint(s, " dx"), floats(dx), want[0].F, e.tol)
				}
				if which&2 != 0 {
					near(t, fmt.Sprint(s, " dgate"), floats(dgate), want[1].F, e.tol)
				}
			}
		}
	})
}
