package kernels_test

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

func TestDirectConvolution(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for i, s := range []struct {
			x                      ir.Shape
			k, kernel, stride, pad int
		}{
			{ir.Shape{1, 1, 1, 1}, 1, 1, 1, 0}, {ir.Shape{2, 5, 4, 1}, 3, 3, 1, 1}, {ir.Shape{1, 7, 7, 3}, 20, 7, 2, 3}, {ir.Shape{2, 6, 5, 20}, 1, 1, 1, 0},
			{ir.Shape{1, 5, 5, 8}, 4, 3, 2, 1}, {ir.Shape{3, 4, 4, 40}, 2, 1, 2, 0}, {ir.Shape{1, 6, 6, 2}, 3, 2, 3, 1}, {ir.Shape{1, 3, 3, 2}, 2, 3, 1, 2},
		} {
			ys := ir.Shape{s.x[0], ir.ConvOut(s.x[1], s.kernel, s.stride, s.pad), ir.ConvOut(s.x[2], s.kernel, s.stride, s.pad), s.k}
			ws := ir.Shape{s.k, s.kernel, s.kernel, s.x[3]}
			x, w, dy := b.normal(e, s.x.Count()), b.normal(e, ws.Count()), b.normal(e, ys.Count())
			xs, wd, dys := e.send(b, x), e.send(b, w), e.send(b, dy)
			a := ir.Attrs{Kernel: s.kernel, Stride: s.stride, Pad: s.pad, In: [4]int(s.x)}
			geometry := []any{s.x[0], s.x[1], s.x[2], s.x[3], ys[1], ys[2], s.k, s.kernel, s.stride, s.pad}
			run := func(name string, x, y int, n int, in ...any) []float32 {
				out := b.empty(n, e.bytes)
				b.launch(e.kernel(name), x, y, append(append(in, out), geometry...)...)
				return floats(out)
			}
			want := reference(ir.Conv, a, nil, []goref.Buf{buf(x, s.x...), buf(w, ws...)}, ys)[0].F
			near(t, fmt.Sprint(s, " y"), run("conv_direct", grids[i%3], 1, ys.Count(), xs, wd), want, e.tol)
			want = reference(ir.ConvGradData, a, nil, []goref.Buf{buf(w, ws...), buf(dy, ys...)}, s.x)[0].F
			near(t, fmt.Sprint(s, " dx"), run("conv_direct_grad_data", grids[i%3], 1, s.x.Count(), wd, dys), want, e.tol)
			want = reference(ir.ConvGradWeights, a, nil, []goref.Buf{buf(x, s.x...), buf(dy, ys...)}, ws, nil)[0].F
			near(t, fmt.Sprint(s, " dw"), run("conv_direct_grad_weights", s.k*s.kernel*s.kernel, i%2+1, ws.Count(), xs, dys), want, e.tol)
		}
	})
}
