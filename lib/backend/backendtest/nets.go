package backendtest

import (
	"fmt"

	"libdsl/lib/ir"
)

// netCases are small whole networks, trained one step: where steps meet, layouts, fusion and shared memory do too.
func netCases() []*testCase {
	return []*testCase{foldedNet(2, 17), foldedNet(1, 16), scaledNet(), batchNet(3, 15), batchNet(2, 16)}
}

// foldedNet is pixels, a folded convolution, max pooling, a residual block, a gated pool and a linear layer, with all gradients.
func foldedNet(b, size int) *testCase {
	c := newCase("network with folded BatchNorm, batch %d, %d pixels", b, size)
	c.tol = 2e-5 // a dozen steps one after the other
	a := ir.Attrs{Eps: 1e-5}
	c.phase = ir.Setup
	w1, g1, b1, m1, v1 := c.weights("w1", 20, 3, 3, 3), c.param("g1", 20), c.param("b1", 20), c.tensor(ir.State, "m1", []int{20}), c.variance("v1", 20)
	scaled, shift := c.one(ir.ScaleWeights, a, w1, g1, v1), c.one(ir.ShiftBias, a, g1, b1, m1, v1)
	c.phase = ir.Forward
	px := c.pixels("pixels", b, size, size, 3)
	x := c.one(ir.Normalize, ir.Attrs{Mean: [3]float32{0.5, 0.5, 0.5}, Std: [3]float32{0.25, 0.25, 0.25}}, px)
	y1 := c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Conv, ir.Attrs{Stride: 2, Pad: 1, Bias: true}, x, scaled, shift))
	poolAttrs := ir.Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int(c.Tensors[y1].Shape)}
	pooled := c.step(ir.MaxPool, poolAttrs, y1)
	y2 := pooled[0]
	same := ir.Attrs{Kernel: 3, Stride: 1, Pad: 1, In: [4]int(c.Tensors[y2].Shape)}
	w2, w3 := c.weights("w2", 20, 3, 3, 20), c.weights("w3", 20, 3, 3, 20)
	y3 := c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Conv, same, y2, w2))
	y4 := c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Add, ir.Attrs{}, c.one(ir.Conv, same, y3, w3), y2))
	gateAttrs := ir.Attrs{Kernel: 1, Stride: 1, Bias: true, In: same.In}
	w5, b5 := c.weights("w5", 1, 1, 1, 20), c.param("b5", 1)
	gate := c.one(ir.Sigmoid, ir.Attrs{}, c.one(ir.Conv, gateAttrs, y4, w5, b5))
	v := c.one(ir.GatedPool, ir.Attrs{}, y4, gate)
	dropped := c.one(ir.Dropout, ir.Attrs{Rate: 0.25}, v)
	w6 := c.weights("w6", 12, 20)
	e := c.one(ir.Linear, ir.Attrs{}, dropped, w6, c.param("b6", 12))
	c.outputs(e, gate)

	c.phase = ir.Backward
	de := c.input("de", b, 12)
	dl := c.step(ir.LinearGradWeights, ir.Attrs{}, dropped, de)
	dv := c.one(ir.Dropout, ir.Attrs{Rate: 0.25}, c.one(ir.LinearGradData, ir.Attrs{}, w6, de))
	dg := c.step(ir.GatedPoolGrad, ir.Attrs{}, y4, gate, dv)
	dz := c.one(ir.SigmoidGrad, ir.Attrs{}, gate, dg[1])
	d5 := c.step(ir.ConvGradWeights, gateAttrs, y4, dz)
	d4 := c.one(ir.ReLUGrad, ir.Attrs{}, y4, c.one(ir.Add, ir.Attrs{}, dg[0], c.one(ir.ConvGradData, gateAttrs, w5, dz)))
	dw3 := c.one(ir.ConvGradWeights, same, y3, d4)
	d3 := c.one(ir.ReLUGrad, ir.Attrs{}, y3, c.one(ir.ConvGradData, same, w3, d4))
	dw2 := c.one(ir.ConvGradWeights, same, y2, d3)
	d2 := c.one(ir.Add, ir.Attrs{}, c.one(ir.ConvGradData, same, w2, d3), d4)
	d1 := c.one(ir.ReLUGrad, ir.Attrs{}, y1, c.one(ir.MaxPoolGrad, poolAttrs, pooled[1], d2))
	dwb := c.step(ir.ConvGradWeights, ir.Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{b, size, size, 3}}, x, d1)
	dws := c.step(ir.ScaleWeightsGrad, a, w1, g1, v1, dwb[0])
	dg1 := c.one(ir.Add, ir.Attrs{}, dws[1], c.one(ir.ShiftBiasGrad, a, g1, m1, v1, dwb[1]))
	c.train([]string{"w1", "g1", "b1", "w2", "w3", "w5", "b5", "w6", "b6"}, dws[0], dg1, dwb[1], dw2, dw3, d5[0], d5[1], dl[0], dl[1])
	return c
}

// scaledNet is convolutions whose weights Setup scales, of several sizes, each read by one of them but for the last, which two read, forward only.
func scaledNet() *testCase {
	c := newCase("convolutions with weights that are scaled beforehand")
	c.tol = 2e-5
	a := ir.Attrs{Eps: 1e-5}
	channels := []int{20, 32, 16, 64, 64}
	var scaled []ir.TensorID
	c.phase = ir.Setup
	for i, k := range channels[1:] {
		w := c.weights(fmt.Sprintf("w%d", i), k, 3, 3, channels[i])
		scaled = append(scaled, c.one(ir.ScaleWeights, a, w, c.param(fmt.Sprintf("g%d", i), k), c.variance(fmt.Sprintf("v%d", i), k)))
	}
	c.phase = ir.Forward
	x := c.input("x", 2, 9, 9, channels[0])
	for _, w := range append(scaled, scaled[len(scaled)-1]) {
		x = c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, x, w))
	}
	return c.outputs(x)
}

// train marks gradients as outputs and adds their Adam steps. A large ε keeps an update in proportion to its gradient: with a small one the
// sign of a gradient close to zero would be a whole step.
func (c *testCase) train(names []string, gradients ...ir.TensorID) {
	c.args.AdamEps = 1
	for i, d := range gradients {
		c.outputs(d)
		c.adam(names[i], d)
	}
}

// batchNet is two convolutions with BatchNorm over the batch, the second with a residual.
func batchNet(b, size int) *testCase {
	c := newCase("network with BatchNorm over the batch, batch %d, %d pixels", b, size)
	c.tol = 2e-5
	bn := ir.Attrs{Eps: 1e-5}
	x := c.input("x", b, size, size, 3)
	first := ir.Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{b, size, size, 3}}
	w1, g1 := c.weights("w1", 20, 3, 3, 3), c.param("g1", 20)
	z1 := c.one(ir.Conv, first, x, w1)
	n1 := c.step(ir.BatchNorm, bn, z1, g1, c.param("b1", 20))
	y1 := c.one(ir.ReLU, ir.Attrs{}, n1[0])
	second := ir.Attrs{Kernel: 3, Stride: 1, Pad: 1, In: [4]int(c.Tensors[y1].Shape)}
	w2, g2 := c.weights("w2", 20, 3, 3, 20), c.param("g2", 20)
	z2 := c.one(ir.Conv, second, y1, w2)
	n2 := c.step(ir.BatchNorm, bn, z2, g2, c.param("b2", 20))
	y2 := c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Add, ir.Attrs{}, n2[0], y1))
	v := c.one(ir.Pool, ir.Attrs{}, y2)
	c.outputs(v, y2)

	c.phase = ir.Backward
	dy2 := c.one(ir.ReLUGrad, ir.Attrs{}, y2, c.one(ir.PoolGrad, ir.Attrs{In: second.In}, c.input("dv", b, 20)))
	dn2 := c.step(ir.BatchNormGrad, bn, z2, n2[1], n2[2], g2, dy2)
	dw2 := c.one(ir.ConvGradWeights, second, y1, dn2[0])
	dy1 := c.one(ir.ReLUGrad, ir.Attrs{}, y1, c.one(ir.Add, ir.Attrs{}, c.one(ir.ConvGradData, second, w2, dn2[0]), dy2))
	dn1 := c.step(ir.BatchNormGrad, bn, z1, n1[1], n1[2], g1, dy1)
	dw1 := c.one(ir.ConvGradWeights, first, x, dn1[0])
	c.train([]string{"w1", "g1", "b1", "w2", "g2", "b2"}, dw1, dn1[1], dn1[2], dw2, dn2[1], dn2[2])
	c.phase = ir.Update
	c.step(ir.UpdateRunning, ir.Attrs{Count: b * second.In[1] * second.In[2]}, n1[1], n1[2], c.tensor(ir.State, "rm", []int{20}), c.variance("rv", 20))
	return c
}
