package goref

import (
	"math"

	"libdsl/lib/ir"
	"libdsl/lib/rng"
)

func normalize(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, p := range in[0].U {
		out[0].F[i] = float32((float64(p)/255 - float64(a.Mean[i%3])) / float64(a.Std[i%3]))
	}
}

func relu(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, v := range in[0].F {
		out[0].F[i] = max(0, v)
	}
}

func reluGrad(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, y := range in[0].F {
		g := in[1].F[i]
		if a.Residual {
			g += in[2].F[i]
		}
		if !(y > 0) {
			g = 0
		}
		out[0].F[i] = g
	}
}

func add(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, v := range in[0].F {
		out[0].F[i] = v + in[1].F[i]
	}
}

func sigmoid(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, v := range in[0].F {
		out[0].F[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
}

func sigmoidGrad(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	for i, y := range in[0].F {
		out[0].F[i] = float32(float64(in[1].F[i]) * float64(y) * (1 - float64(y)))
	}
}

// dropout without args (a program that only checks shapes or gradients) keeps everything at rate 0 only.
func dropout(a *ir.Attrs, args *ir.Args, in, out []Buf) {
	scale := float32(1 / (1 - float64(a.Rate)))
	for i, v := range in[0].F {
		if rng.Counter(args.DropoutKey, uint64(i)) < a.Rate {
			v = 0
		}
		out[0].F[i] = v * scale
	}
}
