package goref

import "libdsl/lib/ir"

func maxPool(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, y := in[0], out[0]
	ys := y.Shape
	if y.absent() {
		ys = out[1].Shape
	}
	C := ys[3]
	best := make([]float32, ys.Count())
	tap := make([]int, len(best))
	for i := range tap {
		tap[i] = -1
	}
	eachTap(ys, x.Shape, a.Kernel, a.Stride, a.Pad, func(yi, xi, t int) {
		for c := range C {
			if v := x.F[xi+c]; tap[yi+c] < 0 || v > best[yi+c] {
				best[yi+c], tap[yi+c] = v, t
			}
		}
	})
	if !y.absent() {
		copy(y.F, best)
	}
	if !out[1].absent() {
		for i, t := range tap {
			out[1].U[i] = uint8(t)
		}
	}
}

func maxPoolGrad(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	tap, dy, dx := in[0], in[1], out[0]
	clear(dx.F)
	C := dy.Shape[3]
	eachTap(dy.Shape, dx.Shape, a.Kernel, a.Stride, a.Pad, func(yi, xi, t int) {
		for c := range C {
			if int(tap.U[yi+c]) == t {
				dx.F[xi+c] += dy.F[yi+c]
			}
		}
	})
}

func pool(_ *ir.Attrs, _ *ir.Args, in, out []Buf) { meanPool(in[0], nil, out[0]) }

func gatedPool(_ *ir.Attrs, _ *ir.Args, in, out []Buf) { meanPool(in[0], in[1].F, out[0]) }

// meanPool is v[b,c] = mean over the pixels p of x[b,p,c]·gate[b,p]; a nil gate is all ones.
func meanPool(x Buf, gate []float32, v Buf) {
	C, HW := x.Shape[3], x.Shape[1]*x.Shape[2]
	sum := make([]float64, C)
	for b := range x.Shape[0] {
		clear(sum)
		for p := range HW {
			g := 1.0
			if gate != nil {
				g = float64(gate[b*HW+p])
			}
			for c, f := range x.F[(b*HW+p)*C:][:C] {
				sum[c] += g * float64(f)
			}
		}
		for c, s := range sum {
			v.F[b*C+c] = float32(s / float64(HW))
		}
	}
}

func poolGrad(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	dx := out[0]
	C, HW := dx.Shape[3], dx.Shape[1]*dx.Shape[2]
	for i := range dx.F {
		dx.F[i] = float32(float64(in[0].F[i/(C*HW)*C+i%C]) / float64(HW))
	}
}

func gatedPoolGrad(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, gate, dv := in[0], in[1].F, in[2].F
	C, HW := x.Shape[3], x.Shape[1]*x.Shape[2]
	for p, g := range gate {
		row, sum := dv[p/HW*C:][:C], 0.0
		for c, d := range row {
			sum += float64(x.F[p*C+c]) * float64(d)
			if !out[0].absent() {
				out[0].F[p*C+c] = float32(float64(g) * float64(d) / float64(HW))
			}
		}
		if !out[1].absent() {
			out[1].F[p] = float32(sum / float64(HW))
		}
	}
}
