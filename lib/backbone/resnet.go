// Package backbone lays out the feature extractors: ResNet-18, -34 and -50 (He et al. 2016) cut after their third stage.
package backbone

import (
	"fmt"
	"maps"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/graph"
	"libdsl/lib/nn"
)

// spec is a ResNet: blocks per stage, and whether they are bottlenecks (1×1, 3×3, 1×1 with four times the width out).
type spec struct {
	blocks     [3]int
	bottleneck bool
}

var specs = map[string]spec{
	"resnet18": {[3]int{2, 2, 2}, false},
	"resnet34": {[3]int{3, 4, 6}, false},
	"resnet50": {[3]int{3, 4, 6}, true},
}

// Stems: Standard is 7×7 stride 2 and a 3×3 max-pool of stride 2 (feature stride 16 in all); Small leaves the max-pool out
// (stride 8), for small images.
const (
	Standard = "standard"
	Small    = "small"
)

// Names lists the backbones.
func Names() []string { return slices.Sorted(maps.Keys(specs)) }

// Check returns an Invalid error for an unknown backbone or stem.
func Check(name, stem string) error {
	if _, ok := specs[name]; !ok {
		return errs.New(errs.Invalid, "backbone: got %q, want one of %v", name, Names())
	}
	if stem != Standard && stem != Small {
		return errs.New(errs.Invalid, "backbone: stem: got %q, want %q or %q", stem, Standard, Small)
	}
	return nil
}

// Channels is C, the number of feature channels: 256, or 1024 for ResNet-50.
func Channels(name string) int {
	if specs[name].bottleneck {
		return 1024
	}
	return 256
}

// Build lays the backbone on x [B,H,W,3] and returns the features [B,H/16,W/16,C] (H/8 with the small stem), rounded up.
func Build(n *nn.Net, name, stem string, x graph.Value) graph.Value {
	s := specs[name]
	x = n.ReLU(n.ConvNorm(x, "conv1", "bn1", 64, 7, 2))
	if stem == Standard {
		x = n.MaxPool(x, 3, 2, 1)
	}
	for stage, blocks := range s.blocks {
		for i := range blocks {
			stride := 1
			if i == 0 && stage > 0 {
				stride = 2
			}
			x = block(n, fmt.Sprintf("layer%d.%d.", stage+1, i), x, 64<<stage, stride, s.bottleneck)
		}
	}
	return x
}

// block is one residual block. Where the shape changes, a 1×1 convolution carries the shortcut.
func block(n *nn.Net, at string, x graph.Value, width, stride int, bottleneck bool) graph.Value {
	out := width
	var y graph.Value
	if bottleneck {
		out = 4 * width
		y = n.ReLU(n.ConvNorm(x, at+"conv1", at+"bn1", width, 1, 1))
		y = n.ReLU(n.ConvNorm(y, at+"conv2", at+"bn2", width, 3, stride))
		y = n.ConvNorm(y, at+"conv3", at+"bn3", out, 1, 1)
	} else {
		y = n.ReLU(n.ConvNorm(x, at+"conv1", at+"bn1", width, 3, stride))
		y = n.ConvNorm(y, at+"conv2", at+"bn2", out, 3, 1)
	}
	shortcut := x
	if s := x.Shape(); stride != 1 || s != nil && s[3] != out {
		shortcut = n.ConvNorm(x, at+"downsample.0", at+"downsample.1", out, 1, stride)
	}
	return n.ReLU(n.Add(y, shortcut))
}
