package plan

import (
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// folded is ReLU(conv(x, w·s) + residual) under a max-pool, beside an unfolded convolution; it returns the tensors that hold feature maps.
func folded(t *testing.T) (n *net, first, second, pooled ir.TensorID) {
	n = &net{t: t}
	x, w, w2 := n.leaf("x", ir.Input, 1, 8, 8, 4), n.leaf("w", ir.Param, 4, 3, 3, 4), n.leaf("w2", ir.Param, 4, 1, 1, 4)
	gamma, variance := n.leaf("gamma", ir.Param, 4), n.leaf("variance", ir.State, 4)
	scaled := n.step(ir.ScaleWeights, ir.Attrs{Eps: 1e-5}, ir.Setup, w, gamma, variance)[0]
	second = n.one(ir.Conv, ir.Attrs{Stride: 1}, x, w2)
	sum := n.one(ir.Add, ir.Attrs{}, n.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, x, scaled), second)
	first = n.one(ir.ReLU, ir.Attrs{}, sum)
	pooled = n.one(ir.MaxPool, ir.Attrs{Kernel: 3, Stride: 2, Pad: 1}, first)
	n.out(pooled)
	return n, first, second, pooled
}

func TestFeatureMapsAreWhatFusedConvolutionsCompute(t *testing.T) {
	n, first, second, _ := folded(t)
	got := FeatureMaps(n.build(Options{}))
	if len(got) != 2 || got["w"] != first || got["w2"] != second {
		t.Errorf("got %v, want w: %d, w2: %d", got, first, second)
	}
}

func TestRangesReachTheirFeatureMapsAndWhatIsPooledOfThem(t *testing.T) {
	n, first, second, pooled := folded(t)
	p := n.build(Options{Int8: true, Ranges: map[string]float32{"w": 3, "w2": 0}})
	for id, r := range p.Range {
		want := float32(-1)
		switch ir.TensorID(id) {
		case first, pooled:
			want = 3
		case second:
			want = 0
		}
		if r != want {
			t.Errorf("tensor %d: got the range %v, want %v", id, r, want)
		}
	}
	for id, r := range n.build(Options{}).Range {
		if r != -1 {
			t.Errorf("no ranges given, tensor %d: got %v, want -1", id, r)
		}
	}
}

func TestABackendOf8BitsIsToldWhichRangeIsMissing(t *testing.T) {
	n, _, _, _ := folded(t)
	_, err := Build(&n.p, Options{Int8: true, Ranges: map[string]float32{"w": 3}})
	if errs.KindOf(err) != errs.Invalid || err.Error() != `plan: feature map of "w2": its range is not known, and the backend keeps it in 8 bits` {
		t.Errorf("got %v, want an Invalid error that names w2", err)
	}
}
