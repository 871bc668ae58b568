package goref

import "libdsl/lib/ir"

// eachTap calls f for each output pixel y and each kernel place that lies inside the image: yi, xi, wi are the offsets of the pixel's
// first channel in y, of the input pixel's first channel in x, and of the place's first channel in the first output channel's kernel.
func eachTap(ys, xs ir.Shape, kernel, stride, pad int, f func(yi, xi, tap int)) {
	for b := range ys[0] {
		for oh := range ys[1] {
			for ow := range ys[2] {
				yi := ((b*ys[1]+oh)*ys[2] + ow) * ys[3]
				for r := range kernel {
					ih := oh*stride + r - pad
					if ih < 0 || ih >= xs[1] {
						continue
					}
					for s := range kernel {
						if iw := ow*stride + s - pad; iw >= 0 && iw < xs[2] {
							f(yi, ((b*xs[1]+ih)*xs[2]+iw)*xs[3], r*kernel+s)
						}
					}
				}
			}
		}
	}
}

func conv(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, w, y := in[0], in[1], out[0]
	C, K, R := x.Shape[3], y.Shape[3], w.Shape[1]
	sum := make([]float64, len(y.F))
	if a.Bias {
		for i := range sum {
			sum[i] = float64(in[2].F[i%K])
		}
	}
	eachTap(y.Shape, x.Shape, R, a.Stride, a.Pad, func(yi, xi, tap int) {
		for k := range K {
			wi := (k*R*R + tap) * C
			s := 0.0
			for c := range C {
				s += float64(x.F[xi+c]) * float64(w.F[wi+c])
			}
			sum[yi+k] += s
		}
	})
	for i, s := range sum {
		if a.Residual {
			s += float64(in[len(in)-1].F[i])
		}
		if a.ReLU {
			s = max(0, s)
		}
		y.F[i] = float32(s)
	}
}

func convGradData(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	w, dy, dx := in[0], in[1], out[0]
	C, K, R := dx.Shape[3], dy.Shape[3], w.Shape[1]
	sum := make([]float64, len(dx.F))
	eachTap(dy.Shape, dx.Shape, R, a.Stride, a.Pad, func(yi, xi, tap int) {
		for k := range K {
			g, wi := float64(dy.F[yi+k]), (k*R*R+tap)*C
			for c := range C {
				sum[xi+c] += g * float64(w.F[wi+c])
			}
		}
	})
	store32(dx.F, sum)
}

func convGradWeights(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, dy := in[0], in[1]
	C, K, R := x.Shape[3], dy.Shape[3], a.Kernel
	if dw := out[0]; !dw.absent() {
		sum := make([]float64, len(dw.F))
		eachTap(dy.Shape, x.Shape, R, a.Stride, a.Pad, func(yi, xi, tap int) {
			for k := range K {
				g, wi := float64(dy.F[yi+k]), (k*R*R+tap)*C
				for c := range C {
					sum[wi+c] += g * float64(x.F[xi+c])
				}
			}
		})
		store32(dw.F, sum)
	}
	if db := out[1]; !db.absent() {
		sumRows(db.F, dy.F)
	}
}

// sumRows adds the rows of a row-major matrix whose width is len(dst).
func sumRows(dst, m []float32) {
	sum := make([]float64, len(dst))
	for i, v := range m {
		sum[i%len(dst)] += float64(v)
	}
	store32(dst, sum)
}

func store32(dst []float32, src []float64) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}
