package goref

import (
	"math"

	"libdsl/lib/ir"
)

func linear(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	v, w, b := in[0], in[1], in[2].F
	C, D := v.Shape[1], w.Shape[0]
	for i := range out[0].F {
		r, d := i/D, i%D
		s := float64(b[d])
		for c := range C {
			s += float64(v.F[r*C+c]) * float64(w.F[d*C+c])
		}
		out[0].F[i] = float32(s)
	}
}

func linearGradData(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	w, de := in[0], in[1]
	D, C := w.Shape[0], w.Shape[1]
	for i := range out[0].F {
		r, c := i/C, i%C
		s := 0.0
		for d := range D {
			s += float64(de.F[r*D+d]) * float64(w.F[d*C+c])
		}
		out[0].F[i] = float32(s)
	}
}

func linearGradWeights(_ *ir.Attrs, _ *ir.Args, in, out []Buf) {
	v, de := in[0], in[1]
	B, C, D := v.Shape[0], v.Shape[1], de.Shape[1]
	if dw := out[0]; !dw.absent() {
		for i := range dw.F {
			d, c := i/C, i%C
			s := 0.0
			for r := range B {
				s += float64(de.F[r*D+d]) * float64(v.F[r*C+c])
			}
			dw.F[i] = float32(s)
		}
	}
	if db := out[1]; !db.absent() {
		sumRows(db.F, de.F)
	}
}

func adam(a *ir.Attrs, args *ir.Args, in, _ []Buf) {
	g, w, m, v := in[0].F, in[1].F, in[2].F, in[3].F
	rows, rate := 1, args.LR
	if a.PerRow {
		rows, rate = in[0].Shape[0], args.RowLR
	}
	per := len(w) / rows
	for r := range rows {
		step := args.Step
		if a.PerRow {
			if in[4].U[r] == 0 {
				continue
			}
			in[5].I[r]++
			step = int64(in[5].I[r])
		}
		adamRow(args, rate, step, g[r*per:][:per], w[r*per:][:per], m[r*per:][:per], v[r*per:][:per])
	}
}

func adamRow(args *ir.Args, rate float64, step int64, g, w, m, v []float32) {
	c1 := 1 - math.Pow(args.Beta1, float64(step))
	c2 := 1 - math.Pow(args.Beta2, float64(step))
	for i := range w {
		gi := float64(g[i]) + args.WeightDecay*float64(w[i])
		mi := args.Beta1*float64(m[i]) + (1-args.Beta1)*gi
		vi := args.Beta2*float64(v[i]) + (1-args.Beta2)*gi*gi
		m[i], v[i] = float32(mi), float32(vi)
		w[i] = float32(float64(w[i]) - rate*(mi/c1)/(math.Sqrt(vi/c2)+args.AdamEps))
	}
}
