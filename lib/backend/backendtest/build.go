package backendtest

import (
	"fmt"
	"math"

	"libdsl/lib/ir"
	"libdsl/lib/rng"
)

// testCase is a program with the values of its inputs and parameters.
type testCase struct {
	ir.Program
	name   string
	tol    float64
	args   ir.Args
	floats map[string][]float32
	bytes  map[string][]byte
	ints   map[string][]int32
	ranges map[string]float32 // of feature maps, by the convolution's weights
	rng    *rng.Stream
	phase  ir.Phase
}

func newCase(format string, a ...any) *testCase {
	c := &testCase{name: fmt.Sprintf(format, a...), tol: tolerance, phase: ir.Forward, floats: map[string][]float32{},
		bytes: map[string][]byte{}, ints: map[string][]int32{}}
	c.rng = rng.New(1, c.name)
	c.args = ir.Args{LR: 1e-2, RowLR: 3e-2, WeightDecay: 1e-3, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, Step: 3, DropoutKey: rng.DropoutKey(1, 3),
		BNMomentum: 0.1}
	return c
}

func (c *testCase) add(t ir.Tensor) ir.TensorID {
	c.Tensors = append(c.Tensors, t)
	return ir.TensorID(len(c.Tensors) - 1)
}

// normal fills a tensor with normal numbers.
func (c *testCase) normal(name string, n int) {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(c.rng.NormFloat64())
	}
	c.floats[name] = v
}

func (c *testCase) tensor(role ir.Role, name string, shape []int) ir.TensorID {
	c.normal(name, ir.Shape(shape).Count())
	return c.add(ir.Tensor{Name: name, Shape: shape, Role: role})
}

func (c *testCase) input(name string, shape ...int) ir.TensorID {
	return c.tensor(ir.Input, name, shape)
}

func (c *testCase) param(name string, shape ...int) ir.TensorID {
	return c.tensor(ir.Param, name, shape)
}

// weights are scaled so that a convolution keeps the size of its input.
func (c *testCase) weights(name string, shape ...int) ir.TensorID {
	id := c.param(name, shape...)
	c.each(name, func(v float64) float64 { return v / math.Sqrt(float64(ir.Shape(shape[1:]).Count())) })
	return id
}

// variance is a State of positive numbers.
func (c *testCase) variance(name string, n int) ir.TensorID {
	id := c.tensor(ir.State, name, []int{n})
	c.each(name, func(v float64) float64 { return 0.1 + v*v })
	return id
}

func (c *testCase) each(name string, f func(float64) float64) {
	for i, v := range c.floats[name] {
		c.floats[name][i] = float32(f(float64(v)))
	}
}

func (c *testCase) pixels(name string, shape ...int) ir.TensorID {
	b := make([]byte, ir.Shape(shape).Count())
	for i := range b {
		b[i] = byte(c.rng.IntN(256))
	}
	c.bytes[name] = b
	return c.add(ir.Tensor{Name: name, Shape: shape, DType: ir.U8, Role: ir.Input})
}

// step adds a step of the current phase and returns its outputs.
func (c *testCase) step(kind ir.Kind, a ir.Attrs, in ...ir.TensorID) []ir.TensorID {
	shapes, err := ir.InferShapes(kind, &a, c.Shapes(in))
	if err != nil {
		panic(err) // a wrong test case
	}
	var out []ir.TensorID
	for k, s := range shapes {
		out = append(out, c.add(ir.Tensor{Shape: s, DType: ir.OutDType(kind, k)}))
	}
	c.Steps = append(c.Steps, ir.Step{Kind: kind, Attrs: a, Phase: c.phase, In: in, Out: out})
	return out
}

// one is step for its first output.
func (c *testCase) one(kind ir.Kind, a ir.Attrs, in ...ir.TensorID) ir.TensorID {
	return c.step(kind, a, in...)[0]
}

// outputs marks tensors as read by the host.
func (c *testCase) outputs(ids ...ir.TensorID) *testCase {
	for _, id := range ids {
		c.Tensors[id].Output = true
		c.Tensors[id].Name = fmt.Sprintf("out%d", id)
	}
	return c
}

func (c *testCase) stored() []ir.Tensor {
	var out []ir.Tensor
	for _, t := range c.Tensors {
		if t.Role == ir.Param || t.Role == ir.State {
			out = append(out, t)
		}
	}
	return out
}

// forwardOutputs are the names of the outputs that Forward computes.
func (c *testCase) forwardOutputs() (names []string) {
	for _, s := range c.Steps {
		for _, id := range s.Out {
			if s.Phase <= ir.Forward && c.Tensors[id].Output {
				names = append(names, c.Tensors[id].Name)
			}
		}
	}
	return names
}
