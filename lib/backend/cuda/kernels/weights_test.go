package kernels_test

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

// weights are output channels, kernel, input channels, and what those are padded to.
var weights = []struct{ k, kernel, c, padded int }{
	{1, 1, 1, 1}, {5, 3, 3, 8}, {8, 1, 8, 8}, {6, 3, 20, 20}, {4, 3, 16, 16}, {3, 7, 3, 4}, {20, 1, 64, 64}, {7, 1, 3, 3}, {64, 3, 4, 4},
}

func TestPackWeights(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for i, s := range weights {
			taps, shape := s.kernel*s.kernel, ir.Shape{s.k, s.kernel, s.kernel, s.c}
			w, gamma, variance := b.normal(f32, shape.Count()), b.normal(f32, s.k), b.positive(s.k)
			folded := reference(ir.ScaleWeights, ir.Attrs{Eps: eps}, nil, []goref.Buf{buf(w, shape...), buf(gamma, s.k), buf(variance, s.k)}, shape)[0].F
			for _, c := range []struct {
				what            string
				gamma, variance buffer
				want            []float32
				tol             float64
			}{
				{"plain", buffer{}, buffer{}, e.round(w), 0}, {"folded", upload(b, gamma), upload(b, variance), folded, e.tol},
			} {
				y := b.empty(s.k*taps*s.padded, e.bytes)
				b.launch(e.kernel("pack_weights"), grids[i%len(grids)], 1, upload(b, w), c.gamma, c.variance, y, float64(eps), s.k, taps, s.c, s.padded)
				near(t, fmt.Sprint(s, " ", c.what), floats(y), pad(c.want, s.c, s.padded), c.tol)
			}
		}
	})
}

// pad widens rows of c numbers with zeros.
func pad(v []float32, c, padded int) []float32 {
	out := make([]float32, len(v)/c*padded)
	for i := range v {
		out[i/c*padded+i%c] = v[i]
	}
	return out
}

func TestUnpackWeightsGrad(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for i, s := range weights {
			rows := s.k * s.kernel * s.kernel
			want := b.normal(e, rows*s.c)
			dw := b.empty(rows*s.c, 4)
			b.launch(e.kernel("unpack_weights_grad"), grids[i%len(grids)], 1, e.send(b, pad(want, s.c, s.padded)), dw, rows, s.c, s.padded)
			equal(t, fmt.Sprint(s), floats(dw), want)
		}
	})
}

func TestScaleWeightsGrad(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, s := range weights {
			taps, shape := s.kernel*s.kernel, ir.Shape{s.k, s.kernel, s.kernel, s.c}
			w, gamma, variance, g := b.normal(f32, shape.Count()), b.normal(f32, s.k), b.positive(s.k), b.normal(e, shape.Count())
			in := []goref.Buf{buf(w, shape...), buf(gamma, s.k), buf(variance, s.k), buf(g, shape...)}
			want := reference(ir.ScaleWeightsGrad, ir.Attrs{Eps: eps}, nil, in, shape, ir.Shape{s.k})
			for which := 1; which <= 3; which++ {
				dw, dgamma := buffer{}, buffer{}
				if which&1 != 0 {
					dw = b.empty(shape.Count(), 4)
				}
				if which&2 != 0 {
					dgamma = b.empty(s.k, 4)
				}
				b.launch(e.kernel("scale_weights_grad"), s.k, 1, upload(b, w), upload(b, gamma), upload(b, variance), e.send(b, pad(g, s.c, s.padded)),
					dw, dgamma, float64(eps), taps, s.c, s.padded)
				if which&1 != 0 {
					near(t, fmt.Sprint(s, " dw"), floats(dw), want[0].F, 1e-6)
				}
				if which&2 != 0 {
					near(t, fmt.Sprint(s, " dγ"), floats(dgamma), want[1].F, 5e-6)
				}
			}
		}
	})
}

func TestScaleWeightsGradInPlace(t *testing.T) {
	b := setUp(t)
	const k, c = 6, 33
	shape := ir.Shape{k, 1, 1, c}
	w, gamma, variance, g := b.normal(f32, k*c), b.normal(f32, k), b.positive(k), b.normal(f32, k*c)
	in := []goref.Buf{buf(w, shape...), buf(gamma, k), buf(variance, k), buf(g, shape...)}
	want := reference(ir.ScaleWeightsGrad, ir.Attrs{Eps: eps}, nil, in, shape, ir.Shape{k})
	at, dgamma := upload(b, g), b.empty(k, 4)
	b.launch("scale_weights_grad_f32", k, 1, upload(b, w), upload(b, gamma), upload(b, variance), at, at, dgamma, float64(eps), 1, c, c)
	near(t, "dw in g's place", floats(at), want[0].F, 1e-6)
	near(t, "dγ", floats(dgamma), want[1].F, 5e-6)
}

func TestShiftBias(t *testing.T) {
	b := setUp(t)
	for _, k := range []int{1, 20, 700} {
		gamma, beta, mean, variance, g := b.normal(f32, k), b.normal(f32, k), b.normal(f32, k), b.positive(k), b.normal(f32, k)
		in := []goref.Buf{buf(gamma, k), buf(beta, k), buf(mean, k), buf(variance, k)}
		y, dgamma := b.empty(k, 4), b.empty(k, 4)
		b.launch("shift_bias", 2, 1, upload(b, gamma), upload(b, beta), upload(b, mean), upload(b, variance), y, float64(eps), k)
		near(t, "bias", floats(y), reference(ir.ShiftBias, ir.Attrs{Eps: eps}, nil, in, ir.Shape{k})[0].F, 1e-7)
		in[1], in[2], in[3] = buf(mean, k), buf(variance, k), buf(g, k)
		b.launch("shift_bias_grad", 2, 1, upload(b, mean), upload(b, variance), upload(b, g), dgamma, float64(eps), k)
		near(t, "dγ", floats(dgamma), reference(ir.ShiftBiasGrad, ir.Attrs{Eps: eps}, nil, in, ir.Shape{k})[0].F, 1e-7)
	}
}
