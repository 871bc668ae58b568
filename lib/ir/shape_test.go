package ir

import (
	"strings"
	"testing"

	"libdsl/lib/errs"
)

// shapeCases has good and bad operand shapes for every kind; want nil means that they must be refused.
var shapeCases = []struct {
	name  string
	kind  Kind
	attrs Attrs
	in    []Shape
	want  []Shape
}{
	{"pixels of three colours", Normalize, Attrs{}, []Shape{{2, 5, 4, 3}}, []Shape{{2, 5, 4, 3}}},
	{"pixels of one colour", Normalize, Attrs{}, []Shape{{2, 5, 4, 1}}, nil},
	{"a 3×3 convolution of stride 2", Conv, Attrs{Stride: 2, Pad: 1}, []Shape{{2, 9, 8, 3}, {6, 3, 3, 3}}, []Shape{{2, 5, 4, 6}}},
	{"bias and residual", Conv, Attrs{Stride: 1, Pad: 1, Bias: true, Residual: true},
		[]Shape{{2, 5, 4, 3}, {6, 3, 3, 3}, {6}, {2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}}},
	{"a residual without bias", Conv, Attrs{Stride: 1, Pad: 1, Residual: true},
		[]Shape{{2, 5, 4, 3}, {6, 3, 3, 3}, {2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}}},
	{"input channels that differ", Conv, Attrs{Stride: 1}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 4}}, nil},
	{"a kernel larger than the padded image", Conv, Attrs{Stride: 1}, []Shape{{2, 2, 2, 3}, {6, 3, 3, 3}}, nil},
	{"a bias of another length", Conv, Attrs{Stride: 1, Bias: true}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 3}, {5}}, nil},
	{"a residual of another size", Conv, Attrs{Stride: 1, Residual: true}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 3}, {2, 5, 5, 6}}, nil},
	{"a residual that is a vector", Conv, Attrs{Stride: 1, Residual: true}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 3}, {6}}, nil},
	{"a convolution that does not move", Conv, Attrs{}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 3}}, nil},
	{"max-pool without a window", MaxPool, Attrs{Stride: 1}, []Shape{{2, 5, 4, 3}}, nil},
	{"a missing bias", Conv, Attrs{Stride: 1, Bias: true}, []Shape{{2, 5, 4, 3}, {6, 1, 1, 3}}, nil},
	{"a gradient of data", ConvGradData, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 3}},
		[]Shape{{6, 3, 3, 3}, {2, 5, 4, 6}}, []Shape{{2, 9, 8, 3}}},
	{"a gradient of other channels", ConvGradData, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 3}},
		[]Shape{{6, 3, 3, 3}, {2, 5, 4, 7}}, nil},
	{"a gradient of another grid", ConvGradData, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 3}},
		[]Shape{{6, 3, 3, 3}, {2, 4, 4, 6}}, nil},
	{"a gradient of another batch", ConvGradData, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 3}},
		[]Shape{{6, 3, 3, 3}, {3, 5, 4, 6}}, nil},
	{"a gradient of weights", ConvGradWeights, Attrs{Kernel: 3, Stride: 2, Pad: 1}, []Shape{{2, 9, 8, 3}, {2, 5, 4, 6}}, []Shape{{6, 3, 3, 3}, {6}}},
	{"a gradient of weights over two batches", ConvGradWeights, Attrs{Kernel: 3, Stride: 2, Pad: 1}, []Shape{{2, 9, 8, 3}, {3, 5, 4, 6}}, nil},
	{"a gradient of weights over another grid", ConvGradWeights, Attrs{Kernel: 3, Stride: 2, Pad: 1}, []Shape{{2, 9, 8, 3}, {2, 9, 8, 6}}, nil},
	{"scaled weights", ScaleWeights, Attrs{}, []Shape{{6, 3, 3, 2}, {6}, {6}}, []Shape{{6, 3, 3, 2}}},
	{"a scale per input channel", ScaleWeights, Attrs{}, []Shape{{6, 3, 3, 2}, {2}, {2}}, nil},
	{"the gradient of scaled weights", ScaleWeightsGrad, Attrs{}, []Shape{{6, 3, 3, 2}, {6}, {6}, {6, 3, 3, 2}}, []Shape{{6, 3, 3, 2}, {6}}},
	{"the gradient of other weights", ScaleWeightsGrad, Attrs{}, []Shape{{6, 3, 3, 2}, {6}, {6}, {6, 1, 1, 2}}, nil},
	{"a folded bias", ShiftBias, Attrs{}, []Shape{{6}, {6}, {6}, {6}}, []Shape{{6}}},
	{"a folded bias of two lengths", ShiftBias, Attrs{}, []Shape{{6}, {6}, {5}, {6}}, nil},
	{"the gradient of a folded bias", ShiftBiasGrad, Attrs{}, []Shape{{6}, {6}, {6}, {6}}, []Shape{{6}}},
	{"BatchNorm with a residual", BatchNorm, Attrs{Residual: true}, []Shape{{2, 5, 4, 6}, {6}, {6}, {2, 5, 4, 6}},
		[]Shape{{2, 5, 4, 6}, {6}, {6}}},
	{"BatchNorm over other channels", BatchNorm, Attrs{}, []Shape{{2, 5, 4, 6}, {6}, {4}}, nil},
	{"BatchNorm with a residual of another size", BatchNorm, Attrs{Residual: true}, []Shape{{2, 5, 4, 6}, {6}, {6}, {2, 4, 5, 6}}, nil},
	{"the gradient of BatchNorm and ReLU", BatchNormGrad, Attrs{ReLU: true},
		[]Shape{{2, 5, 4, 6}, {6}, {6}, {6}, {2, 5, 4, 6}, {2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}, {6}, {6}}},
	{"the gradient of BatchNorm without its mask", BatchNormGrad, Attrs{ReLU: true}, []Shape{{2, 5, 4, 6}, {6}, {6}, {6}, {2, 5, 4, 6}}, nil},
	{"running statistics", UpdateRunning, Attrs{Count: 8}, []Shape{{6}, {6}, {6}, {6}}, []Shape{}},
	{"running statistics of other channels", UpdateRunning, Attrs{Count: 8}, []Shape{{6}, {6}, {4}, {6}}, nil},
	{"ReLU", ReLU, Attrs{}, []Shape{{2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}}},
	{"ReLU of a matrix", ReLU, Attrs{}, []Shape{{2, 6}}, nil},
	{"a masked gradient", ReLUGrad, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}}},
	{"a masked sum of gradients", ReLUGrad, Attrs{Residual: true}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 6}, {2, 5, 4, 6}}, []Shape{{2, 5, 4, 6}}},
	{"a mask of another size", ReLUGrad, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 5, 6}}, nil},
	{"a sum of vectors", Add, Attrs{}, []Shape{{6}, {6}}, []Shape{{6}}},
	{"a sum of two shapes", Add, Attrs{}, []Shape{{6}, {6, 1}}, nil},
	{"a sum of three", Add, Attrs{}, []Shape{{6}, {6}, {6}}, nil},
	{"max-pool", MaxPool, Attrs{Kernel: 3, Stride: 2, Pad: 1}, []Shape{{2, 9, 8, 6}}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 6}}},
	{"max-pool of a small image", MaxPool, Attrs{Kernel: 3, Stride: 2}, []Shape{{2, 2, 2, 6}}, nil},
	{"the gradient of max-pool", MaxPoolGrad, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 6}},
		[]Shape{{2, 5, 4, 6}, {2, 5, 4, 6}}, []Shape{{2, 9, 8, 6}}},
	{"the gradient of max-pool on another grid", MaxPoolGrad, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 6}},
		[]Shape{{2, 5, 5, 6}, {2, 5, 5, 6}}, nil},
	{"the gradient of max-pool with another tap", MaxPoolGrad, Attrs{Kernel: 3, Stride: 2, Pad: 1, In: [4]int{2, 9, 8, 6}},
		[]Shape{{2, 4, 4, 6}, {2, 5, 4, 6}}, nil},
	{"sigmoid", Sigmoid, Attrs{}, []Shape{{2, 5, 4, 1}}, []Shape{{2, 5, 4, 1}}},
	{"the gradient of sigmoid", SigmoidGrad, Attrs{}, []Shape{{2, 5, 4, 1}, {2, 5, 4, 1}}, []Shape{{2, 5, 4, 1}}},
	{"global pooling", Pool, Attrs{}, []Shape{{2, 5, 4, 6}}, []Shape{{2, 6}}},
	{"the gradient of global pooling", PoolGrad, Attrs{In: [4]int{2, 5, 4, 6}}, []Shape{{2, 6}}, []Shape{{2, 5, 4, 6}}},
	{"the gradient of global pooling of other channels", PoolGrad, Attrs{In: [4]int{2, 5, 4, 6}}, []Shape{{2, 7}}, nil},
	{"gated pooling", GatedPool, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 1}}, []Shape{{2, 6}}},
	{"a gate of two channels", GatedPool, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 2}}, nil},
	{"the gradient of gated pooling", GatedPoolGrad, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 1}, {2, 6}}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 1}}},
	{"the gradient of gated pooling of another batch", GatedPoolGrad, Attrs{}, []Shape{{2, 5, 4, 6}, {2, 5, 4, 1}, {3, 6}}, nil},
	{"dropout", Dropout, Attrs{Rate: 0.5}, []Shape{{2, 6}}, []Shape{{2, 6}}},
	{"a linear layer", Linear, Attrs{}, []Shape{{2, 6}, {5, 6}, {5}}, []Shape{{2, 5}}},
	{"a linear layer of other inputs", Linear, Attrs{}, []Shape{{2, 6}, {5, 7}, {5}}, nil},
	{"a linear layer with another bias", Linear, Attrs{}, []Shape{{2, 6}, {5, 6}, {6}}, nil},
	{"the gradient of a linear layer's data", LinearGradData, Attrs{}, []Shape{{5, 6}, {2, 5}}, []Shape{{2, 6}}},
	{"the gradient of other outputs", LinearGradData, Attrs{}, []Shape{{5, 6}, {2, 6}}, nil},
	{"the gradient of a linear layer's weights", LinearGradWeights, Attrs{}, []Shape{{2, 6}, {2, 5}}, []Shape{{5, 6}, {5}}},
	{"the gradient over two batches", LinearGradWeights, Attrs{}, []Shape{{2, 6}, {3, 5}}, nil},
	{"Adam", Adam, Attrs{}, []Shape{{5, 6}, {5, 6}, {5, 6}, {5, 6}}, []Shape{}},
	{"Adam with another moment", Adam, Attrs{}, []Shape{{5, 6}, {5, 6}, {5, 6}, {6, 5}}, nil},
	{"Adam per row", Adam, Attrs{PerRow: true}, []Shape{{5, 6}, {5, 6}, {5, 6}, {5, 6}, {5}, {5}}, []Shape{}},
	{"Adam per column", Adam, Attrs{PerRow: true}, []Shape{{5, 6}, {5, 6}, {5, 6}, {5, 6}, {6}, {6}}, nil},
}

func TestInferShapes(t *testing.T) {
	covered := map[Kind]bool{}
	for _, c := range shapeCases {
		got, err := InferShapes(c.kind, &c.attrs, c.in)
		if c.want == nil {
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.kind.String()) {
				t.Errorf("%v, %s: got %v and error %v, want an Invalid error that names the kind", c.kind, c.name, got, err)
			}
			continue
		}
		covered[c.kind] = true
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%v, %s: got %v, %v, want %v", c.kind, c.name, got, err, c.want)
			continue
		}
		for i := range got {
			if !got[i].Equal(c.want[i]) {
				t.Errorf("%v, %s: output %d: got %v, want %v", c.kind, c.name, i, got[i], c.want[i])
			}
		}
	}
	for k := range NumKinds {
		if !covered[k] {
			t.Errorf("%v has no case", k)
		}
	}
}

func TestConvOutCountsThePlacesOfAWindow(t *testing.T) {
	for in := range 12 {
		for kernel := 1; kernel <= 7; kernel++ {
			for stride := 1; stride <= 3; stride++ {
				for pad := range 4 {
					places := 0
					for at := -pad; at+kernel <= in+pad; at += stride {
						places++
					}
					if got := ConvOut(in, kernel, stride, pad); got != places {
						t.Fatalf("ConvOut(%d, %d, %d, %d): got %d, want %d", in, kernel, stride, pad, got, places)
					}
				}
			}
		}
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for k := range NumKinds {
		if n := k.String(); n == "" || seen[n] {
			t.Errorf("kind %d: name %q is empty or taken", k, n)
		}
		seen[k.String()] = true
	}
	if got := Kind(200).String(); got != "Kind(200)" {
		t.Errorf("an unknown kind: got %q", got)
	}
}
