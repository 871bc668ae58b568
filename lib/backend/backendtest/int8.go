package backendtest

import (
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

// exactly is the relative error of results that are whole numbers but for the scale of the weights, a float32.
const exactly = 1e-6

// RunInt8 holds a backend that computes convolutions in 8 bits against goref: small networks of whole numbers, which such a backend must compute without
// any error, and one of arbitrary numbers, where it may be off by its rounding. One program has convolutions in 8 bits and in float32.
func RunInt8(t *testing.T, b backend.Backend) {
	single, team := newExecutor(t, b, 1), newExecutor(t, b, 3)
	for _, c := range int8Cases() {
		t.Run(c.name, func(t *testing.T) {
			want := c.results(t, goref.Backend{}, newExecutor(t, goref.Backend{}, 1), false, false)
			for how, e := range map[string]backend.Executor{"one thread": single, "three threads": team} {
				if !c.agree(t, how, c.results(t, b, e, false, false), want) {
					t.Errorf("%s: the backend does not support this network", how)
				}
			}
		})
	}
}

func int8Cases() (all []*testCase) {
	for _, g := range [][4]int{{1, 9, 7, 64}, {8, 5, 5, 32}, {3, 6, 4, 20}, {2, 1, 1, 16}, {2, 5, 6, 8}} {
		for flags := range 8 {
			all = append(all, int8Sum(g, ir.Attrs{Stride: 1 + flags&1, Pad: 1, Bias: flags&2 > 0, ReLU: flags&4 > 0}))
		}
		all = append(all, int8Blocks("blocks of whole numbers", g, 40, exactly), int8Blocks("blocks of arbitrary numbers", g, 0, 0.03))
	}
	for _, g := range [][3]int{{1, 70, 66}, {2, 33, 24}, {3, 9, 7}, {1, 1, 1}, {2, 2, 5}} {
		for _, a := range []ir.Attrs{{Kernel: 7, Stride: 2, Pad: 3, Bias: true}, {Kernel: 3, Stride: 1, Pad: 1}} {
			all = append(all, int8Stem("a stem of whole numbers", g, 64, true, a, exactly), int8Stem("a stem of arbitrary numbers", g, 128, false, a, 0.02))
		}
	}
	return append(all, int8Blocks("blocks without any signal", [4]int{2, 5, 5, 32}, -1, exactly))
}

// whole sets a tensor's elements to whole numbers of low to high.
func (c *testCase) whole(name string, low, high int) {
	c.each(name, func(float64) float64 { return float64(low + c.rng.IntN(high-low+1)) })
}

// unit is a 1×1 convolution that copies x, with a ReLU: it gives x, which must not be negative, a known range.
func (c *testCase) unit(x ir.TensorID, name string, largest float32) ir.TensorID {
	k := c.Tensors[x].Shape[3]
	w := c.weights(name, k, 1, 1, k)
	clear(c.floats[name])
	for i := range k {
		c.floats[name][i*k+i] = 1
	}
	c.ranges[name] = largest
	return c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Conv, ir.Attrs{Stride: 1}, x, w))
}

// int8Sum is one convolution of the largest inputs with the largest weights of both signs, whose sums leave 16 bits, read in float32.
func int8Sum(g [4]int, a ir.Attrs) *testCase {
	c := newCase("sums of large products %v stride=%d bias=%v relu=%v", g, a.Stride, a.Bias, a.ReLU)
	c.tol, c.ranges = exactly, map[string]float32{}
	x := c.input("x", g[:]...)
	c.whole("x", 250, 255)
	in := []ir.TensorID{c.unit(x, "w0", 255), c.weights("w1", 24, 3, 3, g[3])}
	c.each("w1", func(v float64) float64 { // for the most part positive
		if v < -0.05 {
			return -0.5
		}
		return 0.5
	})
	if a.Bias {
		in = append(in, c.param("b1", 24))
	}
	c.ranges["w1"] = 1e6
	y := c.one(ir.Conv, a, in...)
	if a.ReLU {
		a.ReLU = false
		c.Steps[len(c.Steps)-1].Attrs = a
		y = c.one(ir.ReLU, ir.Attrs{}, y)
	}
	return c.outputs(y)
}

// int8Stem is pixels g [N,H,W], normalised, convolved and pooled, then copied. Whole numbers stay whole and within the range, for every one of k output channels
// takes one input.
func int8Stem(what string, g [3]int, k int, whole bool, a ir.Attrs, tol float64) *testCase {
	c := newCase("%s %v to %d channels %dx%d", what, g, k, a.Kernel, a.Kernel)
	c.tol, c.ranges = tol, map[string]float32{"w0": 8}
	n := ir.Attrs{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	if whole {
		n = ir.Attrs{Mean: [3]float32{0.2, 0.4, 0}, Std: [3]float32{1. / 255, 1. / 255, 1. / 255}}
		c.ranges["w0"] = 255
	}
	in := []ir.TensorID{c.one(ir.Normalize, n, c.pixels("pixels", g[0], g[1], g[2], 3)), c.weights("w0", k, a.Kernel, a.Kernel, 3)}
	if a.Bias {
		in = append(in, c.param("b0", k))
	}
	if whole {
		clear(c.floats["w0"])
		each := a.Kernel * a.Kernel * 3
		for o := range k {
			c.floats["w0"][o*each+c.rng.IntN(each)] = float32(2*c.rng.IntN(2) - 1)
		}
		c.whole("b0", -9, 0)
	}
	y := c.one(ir.ReLU, ir.Attrs{}, c.one(ir.Conv, a, in...))
	y = c.step(ir.MaxPool, ir.Attrs{Kernel: 3, Stride: 2, Pad: 1}, y)[0]
	return c.outputs(c.unit(y, "w1", c.ranges["w0"]))
}

// int8Blocks is two residual blocks, the first with a convolution in its shortcut, then an attention gate. Whole numbers of up to largest stay whole
// and below 255, for every output channel takes one input; largest = 0 stands for arbitrary numbers, -1 for zeros.
func int8Blocks(what string, g [4]int, largest int, tol float64) *testCase {
	c := newCase("%s %v", what, g)
	c.tol, c.ranges = tol, map[string]float32{}
	x := c.input("x", g[0], 2*g[1], 2*g[2], g[3])
	limit := float32(255)
	switch {
	case largest > 0:
		c.whole("x", 0, largest)
	case largest == 0:
		c.each("x", func(v float64) float64 { return math.Abs(v) })
		limit = 8
	default:
		clear(c.floats["x"])
	}
	layer := func(x ir.TensorID, name string, k, r, stride int) ir.TensorID {
		n := c.Tensors[x].Shape[3]
		w, b := c.weights(name, k, r, r, n), c.param(name+".bias", k)
		c.ranges[name] = limit
		if largest != 0 {
			clear(c.floats[name])
			clear(c.floats[name+".bias"])
		}
		if largest > 0 {
			for o := range k {
				c.floats[name][o*r*r*n+c.rng.IntN(r*r*n)] = float32(2*c.rng.IntN(2) - 1)
			}
			c.whole(name+".bias", -9, 9)
		}
		return c.one(ir.Conv, ir.Attrs{Stride: stride, Pad: r / 2, Bias: true}, x, w, b)
	}
	relu := func(x ir.TensorID) ir.TensorID { return c.one(ir.ReLU, ir.Attrs{}, x) }
	k := 2 * g[3]
	y := c.step(ir.MaxPool, ir.Attrs{Kernel: 3, Stride: 2, Pad: 1}, c.unit(x, "w0", limit))[0]
	shortcut := layer(y, "shortcut", k, 1, 1)
	if largest > 0 {
		c.ranges["shortcut"] = 127
	}
	if largest < 0 {
		c.ranges["w0"], c.ranges["shortcut"], c.ranges["first"] = 0, 0, 0
	}
	y = relu(c.one(ir.Add, ir.Attrs{}, layer(relu(layer(y, "first", 24, 3, 1)), "second", k, 1, 1), shortcut))
	y = relu(c.one(ir.Add, ir.Attrs{}, layer(relu(layer(y, "third", k, 3, 1)), "fourth", k, 3, 1), y))
	y = relu(layer(y, "fifth", k, 3, 2))
	gate := c.one(ir.Sigmoid, ir.Attrs{}, layer(relu(layer(y, "sixth", 16, 3, 1)), "gate", 1, 3, 1))
	v := c.one(ir.GatedPool, ir.Attrs{}, y, gate)
	return c.outputs(y, gate, v)
}
