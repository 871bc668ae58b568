package backendtest

import (
	"math"

	"libdsl/lib/ir"
)

// maps are the shapes of feature maps: one channel, fewer and more than a vector, not a multiple of one, odd extents, a batch of one.
var maps = [][4]int{{2, 5, 7, 1}, {3, 6, 5, 3}, {1, 7, 7, 8}, {2, 4, 5, 20}, {3, 8, 8, 64}, {1, 1, 1, 24}, {1, 13, 11, 16}}

func cases() (all []*testCase) {
	for _, group := range []func() []*testCase{convCases, foldCases, normCases, elementCases, poolCases, linearCases, adamCases, netCases} {
		all = append(all, group()...)
	}
	return all
}

// overResidual is a convolution whose residual and output are both temporary.
func (c *testCase) overResidual(a ir.Attrs, b, h, w, ch, k, r int) *testCase {
	in := []ir.TensorID{c.input("x", b, h, w, ch), c.weights("w", k, r, r, ch)}
	if a.Bias {
		in = append(in, c.param("b", k))
	}
	other := c.input("r", b, ir.ConvOut(h, r, a.Stride, a.Pad), ir.ConvOut(w, r, a.Stride, a.Pad), k)
	y := c.one(ir.Conv, a, append(in, c.one(ir.Sigmoid, ir.Attrs{}, other))...)
	return c.outputs(c.one(ir.Add, ir.Attrs{}, y, other))
}

func convCases() (all []*testCase) {
	type geometry struct{ b, h, w, c, k, r, stride, pad int }
	for _, g := range []geometry{
		{2, 9, 7, 3, 64, 7, 2, 3}, {1, 8, 8, 3, 20, 3, 1, 1}, {2, 6, 5, 64, 64, 3, 1, 1}, {3, 9, 8, 16, 32, 3, 2, 1}, {2, 7, 7, 64, 32, 1, 1, 0},
		{1, 8, 6, 32, 64, 1, 2, 0}, {2, 7, 7, 32, 64, 1, 2, 0}, {2, 5, 5, 64, 1, 1, 1, 0}, {2, 5, 4, 20, 20, 3, 1, 1}, {1, 5, 5, 8, 3, 3, 1, 1}, {3, 4, 4, 1, 8, 3, 1, 1},
		{2, 5, 5, 20, 1, 3, 1, 1}, {1, 3, 3, 1, 1, 1, 1, 0}, {1, 1, 1, 64, 64, 3, 1, 1}, {1, 16, 16, 32, 48, 3, 1, 1}, {2, 4, 4, 8, 20, 1, 2, 0},
	} {
		for flags := range 8 {
			a := ir.Attrs{Stride: g.stride, Pad: g.pad, Bias: flags&1 > 0, Residual: flags&2 > 0, ReLU: flags&4 > 0}
			c := newCase("Conv %+v bias=%v residual=%v relu=%v", g, a.Bias, a.Residual, a.ReLU)
			in := []ir.TensorID{c.input("x", g.b, g.h, g.w, g.c), c.weights("w", g.k, g.r, g.r, g.c)}
			if a.Bias {
				in = append(in, c.param("b", g.k))
			}
			if a.Residual {
				in = append(in, c.input("r", g.b, ir.ConvOut(g.h, g.r, g.stride, g.pad), ir.ConvOut(g.w, g.r, g.stride, g.pad), g.k))
			}
			all = append(all, c.outputs(c.one(ir.Conv, a, in...)))
			if a.Residual { // one that is not needed afterwards, over which a backend may write
				c = newCase("Conv %+v bias=%v relu=%v of a residual that dies", g, a.Bias, a.ReLU)
				all = append(all, c.overResidual(a, g.b, g.h, g.w, g.c, g.k, g.r))
			}
		}
		a := ir.Attrs{Kernel: g.r, Stride: g.stride, Pad: g.pad, In: [4]int{g.b, g.h, g.w, g.c}}
		oh, ow := ir.ConvOut(g.h, g.r, g.stride, g.pad), ir.ConvOut(g.w, g.r, g.stride, g.pad)
		c := newCase("ConvGradData %+v", g)
		all = append(all, c.outputs(c.one(ir.ConvGradData, a, c.weights("w", g.k, g.r, g.r, g.c), c.input("dy", g.b, oh, ow, g.k))))
		for read := range 3 { // both outputs, dw only, db only
			c = newCase("ConvGradWeights %+v outputs %d", g, read)
			out := c.step(ir.ConvGradWeights, a, c.input("x", g.b, g.h, g.w, g.c), c.input("dy", g.b, oh, ow, g.k))
			all = append(all, c.outputs(some(out, read)...))
		}
	}
	return all
}

// some is all outputs for 0, else output read − 1 only.
func some(out []ir.TensorID, read int) []ir.TensorID {
	if read == 0 {
		return out
	}
	return out[read-1 : read]
}

func foldCases() (all []*testCase) {
	for _, s := range [][3]int{{1, 1, 1}, {20, 3, 3}, {64, 1, 20}, {8, 7, 3}} {
		k, r, n := s[0], s[1], s[2]
		a := ir.Attrs{Eps: 1e-5}
		c := newCase("ScaleWeights and ShiftBias K=%d R=%d C=%d", k, r, n)
		w, g, b, m, v := c.param("w", k, r, r, n), c.param("gamma", k), c.param("beta", k), c.param("m", k), c.variance("v", k)
		c.phase = ir.Setup
		all = append(all, c.outputs(c.one(ir.ScaleWeights, a, w, g, v), c.one(ir.ShiftBias, a, g, b, m, v)))
		for read := range 3 {
			c = newCase("ScaleWeightsGrad and ShiftBiasGrad K=%d R=%d C=%d outputs %d", k, r, n, read)
			w, g, m, v, dw := c.param("w", k, r, r, n), c.param("gamma", k), c.param("m", k), c.variance("v", k), c.param("dw", k, r, r, n)
			out := c.step(ir.ScaleWeightsGrad, a, w, g, v, dw)
			c.outputs(some(out, read)...)
			all = append(all, c.outputs(c.one(ir.ShiftBiasGrad, a, g, m, v, c.input("db", k))))
		}
	}
	return all
}

func normCases() (all []*testCase) {
	for _, s := range maps {
		for flags := range 4 {
			a := ir.Attrs{Eps: 1e-5, Residual: flags&1 > 0, ReLU: flags&2 > 0}
			c := newCase("BatchNorm %v residual=%v relu=%v", s, a.Residual, a.ReLU)
			in := []ir.TensorID{c.input("x", s[:]...), c.param("gamma", s[3]), c.param("beta", s[3])}
			if a.Residual {
				in = append(in, c.input("r", s[:]...))
			}
			all = append(all, c.outputs(c.step(ir.BatchNorm, a, in...)...))
		}
		for flags := range 8 {
			a := ir.Attrs{Eps: 1e-5, ReLU: flags&1 > 0}
			c := newCase("BatchNormGrad %v relu=%v outputs %d", s, a.ReLU, flags>>1)
			in := []ir.TensorID{c.input("x", s[:]...), c.input("mean", s[3]), c.variance("var", s[3]), c.param("gamma", s[3]), c.input("dy", s[:]...)}
			if a.ReLU {
				in = append(in, c.input("y", s[:]...))
			}
			all = append(all, c.outputs(some(c.step(ir.BatchNormGrad, a, in...), flags>>1)...))
		}
	}
	c := newCase("BatchNorm far from zero keeps its variance")
	x := c.input("x", 4, 9, 9, 20)
	c.each("x", func(v float64) float64 { return 100 + v })
	c.tol = 2e-5 // the input itself is rounded to 100·6e-8, 4e-6 of its deviation; squares and sums add to it
	all = append(all, c.outputs(c.step(ir.BatchNorm, ir.Attrs{Eps: 1e-5}, x, c.param("gamma", 20), c.param("beta", 20))...))
	c = newCase("BatchNorm of which only the statistics are read")
	all = append(all, c.outputs(c.step(ir.BatchNorm, ir.Attrs{Eps: 1e-5}, c.input("x", 4, 9, 9, 20), c.param("gamma", 20), c.param("beta", 20))[1:]...))
	for _, n := range []int{1, 2, 98} {
		c := newCase("UpdateRunning of %d samples", n)
		mean, v := c.tensor(ir.State, "running mean", []int{20}), c.variance("running variance", 20)
		c.phase = ir.Update
		c.step(ir.UpdateRunning, ir.Attrs{Count: n}, c.input("mean", 20), c.input("var", 20), mean, v)
		all = append(all, c)
	}
	return all
}

func elementCases() (all []*testCase) {
	for _, s := range maps {
		c := newCase("elementwise kinds %v", s)
		x, y, z := c.input("x", s[:]...), c.input("y", s[:]...), c.input("z", s[:]...)
		c.outputs(c.one(ir.ReLU, ir.Attrs{}, x), c.one(ir.Add, ir.Attrs{}, x, y), c.one(ir.Add, ir.Attrs{}, x, x), c.one(ir.Sigmoid, ir.Attrs{}, x))
		c.outputs(c.one(ir.ReLUGrad, ir.Attrs{}, x, y), c.one(ir.ReLUGrad, ir.Attrs{Residual: true}, x, y, z), c.one(ir.SigmoidGrad, ir.Attrs{}, x, y))
		all = append(all, c)

		c = newCase("elementwise kinds in place %v", s)
		x, y = c.input("x", s[:]...), c.input("y", s[:]...)
		sum := c.one(ir.Add, ir.Attrs{}, x, y)
		gate := c.one(ir.Sigmoid, ir.Attrs{}, c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Add, ir.Attrs{}, sum, x)))
		c.phase = ir.Backward
		d := c.one(ir.SigmoidGrad, ir.Attrs{}, gate, c.one(ir.Add, ir.Attrs{}, x, y))
		d = c.one(ir.ReLUGrad, ir.Attrs{}, gate, d)
		d = c.one(ir.ReLUGrad, ir.Attrs{Residual: true}, y, d, c.one(ir.Add, ir.Attrs{}, d, gate))
		all = append(all, c.outputs(c.one(ir.Add, ir.Attrs{}, d, x)))

		// Padding lanes must be zero again after a sigmoid, or the convolution's weight gradient and the pool would see them.
		c = newCase("Sigmoid then sums over channels %v", s)
		x = c.input("x", s[:]...)
		y = c.one(ir.Sigmoid, ir.Attrs{}, x)
		pooled := c.one(ir.Pool, ir.Attrs{}, y)
		conv := c.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, y, c.weights("w", 20, 3, 3, s[3]))
		all = append(all, c.outputs(pooled, conv))
	}
	for _, s := range [][2]int{{1, 1}, {3, 20}, {5, 512}, {128, 33}} {
		c := newCase("Dropout %v", s)
		c.tol = 0
		x := c.input("x", s[:]...)
		y := c.one(ir.Dropout, ir.Attrs{Rate: 0.5}, x)
		all = append(all, c.outputs(y, c.one(ir.Dropout, ir.Attrs{Rate: 0.25}, y), c.one(ir.Dropout, ir.Attrs{}, x)))
	}
	for _, s := range [][4]int{{1, 1, 1, 3}, {3, 7, 5, 3}, {2, 32, 32, 3}} {
		c := newCase("Normalize %v", s)
		a := ir.Attrs{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
		y := c.one(ir.Normalize, a, c.pixels("pixels", s[:]...))
		all = append(all, c.outputs(y, c.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, y, c.weights("w", 20, 3, 3, 3))))
	}
	return all
}

func poolCases() (all []*testCase) {
	for _, s := range maps {
		for _, g := range [][3]int{{3, 2, 1}, {2, 2, 0}, {3, 1, 1}, {1, 1, 0}} {
			if s[1]+2*g[2] < g[0] || s[2]+2*g[2] < g[0] {
				continue
			}
			a := ir.Attrs{Kernel: g[0], Stride: g[1], Pad: g[2], In: s}
			for _, ties := range []bool{false, true} {
				c := newCase("MaxPool and its gradient %v kernel %v ties=%v", s, g, ties)
				x := c.input("x", s[:]...)
				if ties { // steps of a half: many equal maxima, of which the first counts
					c.each("x", func(v float64) float64 { return math.Round(2*v) / 2 })
				}
				out := c.step(ir.MaxPool, a, x)
				y := c.Tensors[out[0]].Shape
				c.phase = ir.Backward
				all = append(all, c.outputs(out[0], c.one(ir.MaxPoolGrad, a, out[1], c.input("dy", y...))))
			}
		}
		b, ch := s[0], s[3]
		c := newCase("Pool and GatedPool with gradients %v", s)
		x, gate, dv := c.input("x", s[:]...), c.input("gate", b, s[1], s[2], 1), c.input("dv", b, ch)
		c.outputs(c.one(ir.Pool, ir.Attrs{}, x), c.one(ir.GatedPool, ir.Attrs{}, x, gate), c.one(ir.PoolGrad, ir.Attrs{In: s}, dv))
		all = append(all, c.outputs(c.step(ir.GatedPoolGrad, ir.Attrs{}, x, gate, dv)...))
		for read := 1; read <= 2; read++ {
			c := newCase("GatedPoolGrad %v output %d only", s, read)
			c.tol = 1e-5 // few sums, and of terms that cancel
			out := c.step(ir.GatedPoolGrad, ir.Attrs{}, c.input("x", s[:]...), c.input("gate", b, s[1], s[2], 1), c.input("dv", b, ch))
			all = append(all, c.outputs(some(out, read)...))
		}
	}
	return all
}

func linearCases() (all []*testCase) {
	for _, s := range [][3]int{{1, 1, 1}, {1, 64, 20}, {5, 20, 3}, {33, 512, 128}, {7, 8, 64}} {
		b, n, d := s[0], s[1], s[2]
		c := newCase("Linear and its gradients B=%d C=%d D=%d", b, n, d)
		v, w, de := c.input("v", b, n), c.weights("w", d, n), c.input("de", b, d)
		c.outputs(c.one(ir.Linear, ir.Attrs{}, v, w, c.param("b", d)), c.one(ir.LinearGradData, ir.Attrs{}, w, de))
		all = append(all, c.outputs(c.step(ir.LinearGradWeights, ir.Attrs{}, v, de)...))
		for read := 1; read <= 2; read++ {
			c := newCase("LinearGradWeights B=%d C=%d D=%d output %d only", b, n, d, read)
			out := c.step(ir.LinearGradWeights, ir.Attrs{}, c.input("v", b, n), c.input("de", b, d))
			all = append(all, c.outputs(some(out, read)...))
		}
	}
	return all
}

// adam adds one Adam step on a parameter that is there already.
func (c *testCase) adam(name string, dw ir.TensorID) {
	shape := c.Tensors[dw].Shape
	w, _ := c.Find(name)
	m := c.tensor(ir.State, name+" m", shape)
	c.each(name+" m", func(v float64) float64 { return v / 10 })
	v := c.tensor(ir.State, name+" v", shape)
	c.each(name+" v", func(v float64) float64 { return v * v / 100 })
	phase := c.phase
	c.phase = ir.Update
	c.step(ir.Adam, ir.Attrs{}, dw, w, m, v)
	c.phase = phase
}

func adamCases() (all []*testCase) {
	for _, s := range [][]int{{1}, {20}, {20, 3, 3, 7}, {33, 65}} {
		c := newCase("Adam %v", s)
		c.param("w", s...)
		dw := c.param("dw", s...)
		c.adam("w", dw)
		all = append(all, c)
	}
	for _, s := range [][2]int{{1, 1}, {5, 20}, {64, 33}} {
		c, _ := perRow(s[0], s[1])
		all = append(all, c)
	}
	bias, _ := perRow(20)
	return append(all, bias)
}

// perRow is an Adam step on some rows of a matrix, or elements of a vector; the mask's even rows are set.
func perRow(shape ...int) (c *testCase, rows []byte) {
	c = newCase("Adam per row %v", shape)
	d := shape[0]
	w, m, v := c.param("w", shape...), c.tensor(ir.State, "m", shape), c.tensor(ir.State, "v", shape)
	c.each("v", func(v float64) float64 { return v * v })
	rows = make([]byte, d)
	counts := make([]int32, d)
	for i := range rows {
		rows[i] = byte(1 - i%2)
		counts[i] = int32(i % 7)
	}
	c.bytes["rows"] = rows
	mask := c.add(ir.Tensor{Name: "rows", Shape: []int{d}, DType: ir.U8, Role: ir.Input})
	c.ints["count"] = counts
	count := c.add(ir.Tensor{Name: "count", Shape: []int{d}, DType: ir.I32, Role: ir.State})
	dw := c.input("dw", shape...)
	c.phase = ir.Update
	c.step(ir.Adam, ir.Attrs{PerRow: true}, dw, w, m, v, mask, count)
	return c, rows
}
