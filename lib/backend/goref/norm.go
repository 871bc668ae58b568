package goref

import (
	"math"

	"libdsl/lib/ir"
)

// invStd is 1/√(v+ε).
func invStd(v, eps float32) float64 { return 1 / math.Sqrt(float64(v)+float64(eps)) }

func scaleWeights(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	w, gamma, v := in[0].F, in[1].F, in[2].F
	per := len(w) / len(gamma)
	for i := range w {
		k := i / per
		out[0].F[i] = float32(float64(w[i]) * float64(gamma[k]) * invStd(v[k], a.Eps))
	}
}

func scaleWeightsGrad(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	w, gamma, v, g := in[0].F, in[1].F, in[2].F, in[3].F
	per := len(w) / len(gamma)
	for k := range gamma {
		s, sum := invStd(v[k], a.Eps), 0.0
		for i := k * per; i < (k+1)*per; i++ {
			sum += float64(g[i]) * float64(w[i])
			if !out[0].absent() {
				out[0].F[i] = float32(float64(g[i]) * float64(gamma[k]) * s)
			}
		}
		if !out[1].absent() {
			out[1].F[k] = float32(sum * s)
		}
	}
}

func shiftBias(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	gamma, beta, m, v := in[0].F, in[1].F, in[2].F, in[3].F
	for k := range gamma {
		out[0].F[k] = float32(float64(beta[k]) - float64(m[k])*float64(gamma[k])*invStd(v[k], a.Eps))
	}
}

func shiftBiasGrad(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	m, v, g := in[1].F, in[2].F, in[3].F
	for k := range g {
		out[0].F[k] = float32(-float64(m[k]) * float64(g[k]) * invStd(v[k], a.Eps))
	}
}

func batchNorm(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, gamma, beta, y := in[0].F, in[1].F, in[2].F, out[0].F
	C := len(gamma)
	n := float64(len(x) / C)
	for c := range C {
		var sum, sq float64
		for i := c; i < len(x); i += C {
			sum += float64(x[i])
		}
		mean := sum / n
		for i := c; i < len(x); i += C {
			d := float64(x[i]) - mean
			sq += d * d
		}
		s := float64(gamma[c]) / math.Sqrt(sq/n+float64(a.Eps))
		for i := c; i < len(y); i += C { // none when nobody reads y
			v := (float64(x[i])-mean)*s + float64(beta[c])
			if a.Residual {
				v += float64(in[3].F[i])
			}
			if a.ReLU {
				v = max(0, v)
			}
			y[i] = float32(v)
		}
		if !out[1].absent() {
			out[1].F[c] = float32(mean)
		}
		if !out[2].absent() {
			out[2].F[c] = float32(sq / n)
		}
	}
}

func batchNormGrad(a *ir.Attrs, _ *ir.Args, in, out []Buf) {
	x, mean, variance, gamma, dy := in[0].F, in[1].F, in[2].F, in[3].F, in[4].F
	C := len(gamma)
	n := float64(len(x) / C)
	masked := func(i int) float64 {
		if a.ReLU && !(in[5].F[i] > 0) {
			return 0
		}
		return float64(dy[i])
	}
	for c := range C {
		s, m := invStd(variance[c], a.Eps), float64(mean[c])
		var dbeta, dgamma float64
		for i := c; i < len(x); i += C {
			g := masked(i)
			dbeta += g
			dgamma += g * (float64(x[i]) - m) * s
		}
		if !out[0].absent() {
			for i := c; i < len(x); i += C {
				xhat := (float64(x[i]) - m) * s
				out[0].F[i] = float32(float64(gamma[c]) * s * (masked(i) - dbeta/n - xhat*dgamma/n))
			}
		}
		if !out[1].absent() {
			out[1].F[c] = float32(dgamma)
		}
		if !out[2].absent() {
			out[2].F[c] = float32(dbeta)
		}
	}
}

func updateRunning(a *ir.Attrs, args *ir.Args, in, _ []Buf) {
	rho := float64(args.BNMomentum)
	unbias := 1.0
	if a.Count > 1 {
		unbias = float64(a.Count) / float64(a.Count-1)
	}
	for c := range in[0].F {
		in[2].F[c] = float32((1-rho)*float64(in[2].F[c]) + rho*float64(in[0].F[c]))
		in[3].F[c] = float32((1-rho)*float64(in[3].F[c]) + rho*float64(in[1].F[c])*unbias)
	}
}
