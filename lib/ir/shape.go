package ir

import "libdsl/lib/errs"

// InferShapes gives the output shapes of a step from its operands' shapes, or an Invalid error that prints them.
func InferShapes(kind Kind, a *Attrs, in []Shape) ([]Shape, error) {
	if want := arity(kind, a); len(in) != want {
		return nil, errs.New(errs.Invalid, "ir: %v: got %d operands, want %d", kind, len(in), want)
	}
	for i, s := range in {
		if r := rank(kind, i); len(s) != r && r != anyRank {
			return nil, errs.New(errs.Invalid, "ir: %v: operand %d has shape %v, want %d axes", kind, i, s, r)
		}
	}
	out := infer(kind, a, in)
	if out == nil {
		return nil, errs.New(errs.Invalid, "ir: %v: shapes %v do not fit", kind, in)
	}
	return out, nil
}

const anyRank = -1

// ranks lists the axes of each operand.
var ranks = [NumKinds][]int{
	Normalize: {4}, Conv: {4, 4, 1, 4}, ConvGradData: {4, 4}, ConvGradWeights: {4, 4},
	ScaleWeights: {4, 1, 1}, ScaleWeightsGrad: {4, 1, 1, 4}, ShiftBias: {1, 1, 1, 1}, ShiftBiasGrad: {1, 1, 1, 1},
	BatchNorm: {4, 1, 1, 4}, BatchNormGrad: {4, 1, 1, 1, 4, 4}, UpdateRunning: {1, 1, 1, 1},
	ReLU: {4}, ReLUGrad: {4, 4, 4}, Add: {anyRank, anyRank}, MaxPool: {4}, MaxPoolGrad: {4, 4}, Sigmoid: {4}, SigmoidGrad: {4, 4},
	Pool: {4}, PoolGrad: {2}, GatedPool: {4, 4}, GatedPoolGrad: {4, 4, 2}, Dropout: {2},
	Linear: {2, 2, 1}, LinearGradData: {2, 2}, LinearGradWeights: {2, 2},
	Adam: {anyRank, anyRank, anyRank, anyRank, 1, 1},
}

// rank is the number of axes of operand i. The residual of a Conv without bias is operand 2.
func rank(kind Kind, i int) int {
	if kind == Conv && i == 2 {
		return anyRank
	}
	return ranks[kind][i]
}

func arity(kind Kind, a *Attrs) int {
	n := len(ranks[kind])
	switch kind {
	case Conv:
		return 2 + count(a.Bias) + count(a.Residual)
	case BatchNorm:
		return 3 + count(a.Residual)
	case BatchNormGrad:
		return 5 + count(a.ReLU)
	case ReLUGrad:
		return 2 + count(a.Residual)
	case Adam:
		return 4 + 2*count(a.PerRow)
	}
	return n
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ConvOut is the extent of a convolution's or pooling's output along one axis.
func ConvOut(in, kernel, stride, pad int) int {
	if in+2*pad < kernel {
		return 0
	}
	return (in+2*pad-kernel)/stride + 1
}

// infer returns nil when the shapes do not fit.
func infer(kind Kind, a *Attrs, in []Shape) []Shape {
	switch kind {
	case Normalize:
		if in[0][3] != 3 {
			return nil
		}
		return []Shape{in[0]}
	case Conv, ConvGradData, ConvGradWeights:
		return inferConv(kind, a, in)
	case ScaleWeights, ScaleWeightsGrad, ShiftBias, ShiftBiasGrad:
		return inferFold(kind, in)
	case BatchNorm, BatchNormGrad, UpdateRunning:
		return inferNorm(kind, in)
	case ReLU, Sigmoid, Dropout:
		return []Shape{in[0]}
	case ReLUGrad, SigmoidGrad, Add:
		for _, s := range in[1:] {
			if !s.Equal(in[0]) {
				return nil
			}
		}
		return []Shape{in[0]}
	case Linear, LinearGradData, LinearGradWeights:
		return inferLinear(kind, in)
	case Adam:
		if !in[1].Equal(in[0]) || !in[2].Equal(in[0]) || !in[3].Equal(in[0]) ||
			a.PerRow && (in[4][0] != in[0][0] || in[5][0] != in[0][0]) {
			return nil
		}
		return []Shape{}
	}
	return inferPool(kind, a, in)
}

// window is the shape of what a convolution or pooling with k channels makes of x; nil when the window does not fit.
func window(x Shape, a *Attrs, height, width, k int) Shape {
	if a.Stride < 1 || a.Pad < 0 || height < 1 || width < 1 {
		return nil
	}
	y := Shape{x[0], ConvOut(x[1], height, a.Stride, a.Pad), ConvOut(x[2], width, a.Stride, a.Pad), k}
	if y.Count() == 0 {
		return nil
	}
	return y
}

func inferConv(kind Kind, a *Attrs, in []Shape) []Shape {
	switch kind {
	case ConvGradData: // w, dy
		w, dy, x := in[0], in[1], Shape(a.In[:])
		if x[3] != w[3] || !dy.Equal(window(x, a, w[1], w[2], w[0])) {
			return nil
		}
		return []Shape{x}
	case ConvGradWeights: // x, dy
		x, dy := in[0], in[1]
		if !dy.Equal(window(x, a, a.Kernel, a.Kernel, dy[3])) {
			return nil
		}
		return []Shape{{dy[3], a.Kernel, a.Kernel, x[3]}, {dy[3]}}
	}
	x, w := in[0], in[1]
	y := window(x, a, w[1], w[2], w[0])
	if y == nil || x[3] != w[3] || a.Bias && !in[2].Equal(Shape{w[0]}) || a.Residual && !in[len(in)-1].Equal(y) {
		return nil
	}
	return []Shape{y}
}

func inferFold(kind Kind, in []Shape) []Shape {
	k := in[0][0]
	for _, s := range in[1:] {
		if s[0] != k {
			return nil
		}
	}
	switch kind {
	case ScaleWeights:
		return []Shape{in[0]}
	case ScaleWeightsGrad:
		if !in[3].Equal(in[0]) {
			return nil
		}
		return []Shape{in[0], {k}}
	}
	return []Shape{{k}}
}

func inferNorm(kind Kind, in []Shape) []Shape {
	c := in[0][len(in[0])-1]
	for _, s := range in[1:] {
		if s[len(s)-1] != c || len(s) == 4 && !s.Equal(in[0]) {
			return nil
		}
	}
	if kind == UpdateRunning {
		return []Shape{}
	}
	return []Shape{in[0], {c}, {c}}
}

func inferPool(kind Kind, a *Attrs, in []Shape) []Shape {
	x := in[0]
	switch kind {
	case MaxPool:
		y := window(x, a, a.Kernel, a.Kernel, x[3])
		if y == nil {
			return nil
		}
		return []Shape{y, y}
	case MaxPoolGrad: // tap, dy
		to := Shape(a.In[:])
		if y := window(to, a, a.Kernel, a.Kernel, to[3]); !in[0].Equal(y) || !in[1].Equal(y) {
			return nil
		}
		return []Shape{to}
	case Pool:
		return []Shape{{x[0], x[3]}}
	case PoolGrad: // dv
		if !x.Equal(Shape{a.In[0], a.In[3]}) {
			return nil
		}
		return []Shape{a.In[:]}
	case GatedPool, GatedPoolGrad: // x, gate, (dv)
		v := Shape{x[0], x[3]}
		if !in[1].Equal(Shape{x[0], x[1], x[2], 1}) || kind == GatedPoolGrad && !in[2].Equal(v) {
			return nil
		}
		if kind == GatedPool {
			return []Shape{v}
		}
		return []Shape{x, in[1]}
	}
	return nil
}

func inferLinear(kind Kind, in []Shape) []Shape {
	switch kind {
	case Linear: // v, w, b
		if in[0][1] != in[1][1] || in[2][0] != in[1][0] {
			return nil
		}
		return []Shape{{in[0][0], in[1][0]}}
	case LinearGradData: // w, de
		if in[0][0] != in[1][1] {
			return nil
		}
		return []Shape{{in[1][0], in[0][1]}}
	}
	if in[0][0] != in[1][0] { // v, de
		return nil
	}
	return []Shape{{in[1][1], in[0][1]}, {in[1][1]}}
}
