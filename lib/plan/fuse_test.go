package plan

import (
	"slices"
	"testing"

	"libdsl/lib/ir"
)

// The patterns: what a network looks like, and the kinds that must be left.
func TestFusion(t *testing.T) {
	same := ir.Attrs{Stride: 1, Pad: 1}
	conv := func(n *net, x ir.TensorID, name string) ir.TensorID {
		return n.one(ir.Conv, same, x, n.leaf(name, ir.Param, 4, 3, 3, 4))
	}
	norm := func(n *net, x ir.TensorID) []ir.TensorID {
		return n.step(ir.BatchNorm, ir.Attrs{}, ir.Forward, x, n.leaf("gamma", ir.Param, 4), n.leaf("beta", ir.Param, 4))
	}
	for _, c := range []struct {
		name  string
		build func(n *net, x ir.TensorID)
		want  []ir.Kind
		check func(s []ir.Step) bool
	}{
		{"a convolution and its ReLU",
			func(n *net, x ir.TensorID) { n.out(n.one(ir.ReLU, ir.Attrs{}, conv(n, x, "w"))) },
			[]ir.Kind{ir.Conv}, func(s []ir.Step) bool { return s[0].Attrs.ReLU && !s[0].Attrs.Residual }},
		{"a convolution, a residual and a ReLU",
			func(n *net, x ir.TensorID) {
				n.out(n.one(ir.ReLU, ir.Attrs{}, n.one(ir.Add, ir.Attrs{}, conv(n, x, "w"), x)))
			},
			[]ir.Kind{ir.Conv}, func(s []ir.Step) bool { return s[0].Attrs.ReLU && s[0].Attrs.Residual && s[0].In[2] == 0 }},
		{"a residual on the left",
			func(n *net, x ir.TensorID) { n.out(n.one(ir.Add, ir.Attrs{}, x, conv(n, x, "w"))) },
			[]ir.Kind{ir.Conv}, func(s []ir.Step) bool { return s[0].Attrs.Residual && !s[0].Attrs.ReLU && s[0].In[2] == 0 }},
		{"two convolutions summed: one takes the other as its residual",
			func(n *net, x ir.TensorID) { n.out(n.one(ir.Add, ir.Attrs{}, conv(n, x, "w1"), conv(n, x, "w2"))) },
			[]ir.Kind{ir.Conv, ir.Conv}, func(s []ir.Step) bool {
				return !s[0].Attrs.Residual && s[1].Attrs.Residual && s[1].In[2] == s[0].Out[0]
			}},
		{"a residual is not added behind a ReLU",
			func(n *net, x ir.TensorID) {
				n.out(n.one(ir.Add, ir.Attrs{}, n.one(ir.ReLU, ir.Attrs{}, conv(n, x, "w")), x))
			},
			[]ir.Kind{ir.Conv, ir.Add}, func(s []ir.Step) bool { return s[0].Attrs.ReLU && !s[0].Attrs.Residual }},
		{"BatchNorm, a residual and a ReLU",
			func(n *net, x ir.TensorID) {
				n.out(n.one(ir.ReLU, ir.Attrs{}, n.one(ir.Add, ir.Attrs{}, norm(n, x)[0], x)))
			},
			[]ir.Kind{ir.BatchNorm}, func(s []ir.Step) bool { return s[0].Attrs.ReLU && s[0].Attrs.Residual && s[0].In[3] == 0 }},
		{"a convolution that two steps read stays",
			func(n *net, x ir.TensorID) {
				y := conv(n, x, "w")
				n.out(n.one(ir.ReLU, ir.Attrs{}, y), n.one(ir.Sigmoid, ir.Attrs{}, y))
			}, []ir.Kind{ir.Conv, ir.ReLU, ir.Sigmoid}, nil},
		{"a convolution that the host reads stays",
			func(n *net, x ir.TensorID) {
				y := conv(n, x, "w")
				n.out(y, n.one(ir.ReLU, ir.Attrs{}, y))
			}, []ir.Kind{ir.Conv, ir.ReLU}, nil},
		{"a convolution added to itself stays",
			func(n *net, x ir.TensorID) {
				y := conv(n, x, "w")
				n.out(n.one(ir.Add, ir.Attrs{}, y, y))
			}, []ir.Kind{ir.Conv, ir.Add}, nil},
		{"BatchNorm's statistics are not taken for its result",
			func(n *net, x ir.TensorID) {
				s := norm(n, x)
				n.out(s[0], n.one(ir.Add, ir.Attrs{}, s[1], s[2]))
			}, []ir.Kind{ir.BatchNorm, ir.Add}, nil},
		{"a sum of gradients and its mask",
			func(n *net, x ir.TensorID) {
				a, b := n.one(ir.Sigmoid, ir.Attrs{}, x), n.one(ir.ReLU, ir.Attrs{}, x)
				n.out(n.one(ir.ReLUGrad, ir.Attrs{}, x, n.one(ir.Add, ir.Attrs{}, a, b)))
			}, []ir.Kind{ir.Sigmoid, ir.ReLU, ir.ReLUGrad},
			func(s []ir.Step) bool {
				return s[2].Attrs.Residual && s[2].In[1] == s[0].Out[0] && s[2].In[2] == s[1].Out[0]
			}},
		{"a mask and the gradient of BatchNorm",
			func(n *net, x ir.TensorID) {
				s := norm(n, x)
				y := n.one(ir.ReLU, ir.Attrs{}, s[0])
				masked := n.one(ir.ReLUGrad, ir.Attrs{}, y, x)
				n.out(n.one(ir.BatchNormGrad, ir.Attrs{}, x, s[1], s[2], 1, masked))
			}, []ir.Kind{ir.BatchNorm, ir.BatchNormGrad},
			func(s []ir.Step) bool {
				return s[0].Attrs.ReLU && s[1].Attrs.ReLU && s[1].In[4] == 0 && s[1].In[5] == s[0].Out[0]
			}},
		{"a masked sum and the gradient of BatchNorm stay two steps",
			func(n *net, x ir.TensorID) {
				s := norm(n, x)
				y := n.one(ir.Sigmoid, ir.Attrs{}, s[0])
				masked := n.one(ir.ReLUGrad, ir.Attrs{}, y, n.one(ir.Add, ir.Attrs{}, x, y))
				n.out(n.one(ir.BatchNormGrad, ir.Attrs{}, x, s[1], s[2], 1, masked))
			}, []ir.Kind{ir.BatchNorm, ir.Sigmoid, ir.ReLUGrad, ir.BatchNormGrad},
			func(s []ir.Step) bool { return s[2].Attrs.Residual && !s[3].Attrs.ReLU }},
	} {
		n := &net{t: t}
		c.build(n, n.leaf("x", ir.Input, 2, 8, 8, 4))
		for i, k := 0, 0; i < len(n.p.Tensors); i++ { // outputs need names of their own
			if n.p.Tensors[i].Output {
				k++
				n.p.Tensors[i].Name = string(rune('a' + k))
			}
		}
		p := n.build(Options{})
		if got := kinds(p); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		} else if c.check != nil && !c.check(p.Steps) {
			t.Errorf("%s: got %+v", c.name, p.Steps)
		}
		plain := n.build(Options{NoFuse: true})
		if len(plain.Steps) != len(n.p.Steps) {
			t.Errorf("%s: NoFuse has %d steps, want %d", c.name, len(plain.Steps), len(n.p.Steps))
		}
	}
}
