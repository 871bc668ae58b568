package backbone

import (
	"fmt"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/graph"
	"libdsl/lib/ir"
	"libdsl/lib/nn"
)

// lower builds a backbone on images of height×width and returns its program and the features' shape.
func lower(t *testing.T, name, stem string, norm nn.Norm, height, width int) (*ir.Program, ir.Shape) {
	t.Helper()
	var shape ir.Shape
	p, err := graph.Build(func(b *graph.Builder) error {
		f := Build(&nn.Net{Builder: b, Norm: norm}, name, stem, b.Input("x", ir.F32, 2, height, width, 3))
		shape = f.Shape()
		b.Output("features", f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, shape
}

// torchvision lists the tensors of torchvision's state dict up to layer3 in its order, with shapes in our layout. It is written from torchvision's
// naming, not from this package: a block is conv1, bn1, conv2, bn2, (conv3, bn3,) (downsample.0, downsample.1).
func torchvision(blocks []int, bottleneck bool) (names []string, shapes map[string]ir.Shape) {
	shapes = map[string]ir.Shape{}
	add := func(name string, shape ...int) {
		names = append(names, name)
		shapes[name] = shape
	}
	convNorm := func(conv, norm string, out, kernel, in int) {
		add(conv+".weight", out, kernel, kernel, in)
		for _, s := range []string{"weight", "bias", "running_mean", "running_var"} {
			add(norm+"."+s, out)
		}
	}
	convNorm("conv1", "bn1", 64, 7, 3)
	in := 64
	for stage, n := range blocks {
		width := []int{64, 128, 256}[stage]
		out := width
		if bottleneck {
			out = 4 * width
		}
		for i := range n {
			at := fmt.Sprintf("layer%d.%d.", stage+1, i)
			if bottleneck {
				convNorm(at+"conv1", at+"bn1", width, 1, in)
				convNorm(at+"conv2", at+"bn2", width, 3, width)
				convNorm(at+"conv3", at+"bn3", out, 1, width)
			} else {
				convNorm(at+"conv1", at+"bn1", width, 3, in)
				convNorm(at+"conv2", at+"bn2", width, 3, width)
			}
			if in != out {
				convNorm(at+"downsample.0", at+"downsample.1", out, 1, in)
			}
			in = out
		}
	}
	return names, shapes
}

func TestTensorsAreThoseOfTorchvision(t *testing.T) {
	for _, c := range []struct {
		name       string
		blocks     []int
		bottleneck bool
		count      int // len([k for k in torchvision's state dict up to layer3 if not k.endswith("num_batches_tracked")])
	}{{"resnet18", []int{2, 2, 2}, false, 75}, {"resnet34", []int{3, 4, 6}, false, 145}, {"resnet50", []int{3, 4, 6}, true, 215}} {
		want, shapes := torchvision(c.blocks, c.bottleneck)
		if len(want) != c.count {
			t.Fatalf("%s: the list has %d names, want %d", c.name, len(want), c.count)
		}
		for _, norm := range []nn.Norm{nn.Frozen, nn.Batch} {
			p, _ := lower(t, c.name, Standard, norm, 64, 64)
			var got []string
			for _, x := range p.Tensors {
				if x.Role != ir.Param && x.Role != ir.State {
					continue
				}
				got = append(got, x.Name)
				if !x.Shape.Equal(shapes[x.Name]) {
					t.Errorf("%s: %s has shape %v, want %v", c.name, x.Name, x.Shape, shapes[x.Name])
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s, norm %d: got %d tensors, want %d: %v", c.name, norm, len(got), len(want), got)
			}
		}
	}
}

func TestFeaturesHaveAStrideOf16OrWithTheSmallStem8(t *testing.T) {
	for _, c := range []struct {
		name, stem    string
		height, width int
		want          ir.Shape
	}{
		{"resnet18", Standard, 224, 224, ir.Shape{2, 14, 14, 256}},
		{"resnet50", Standard, 224, 224, ir.Shape{2, 14, 14, 1024}},
		{"resnet34", Small, 64, 64, ir.Shape{2, 8, 8, 256}},
		{"resnet18", Small, 28, 28, ir.Shape{2, 4, 4, 256}},
		{"resnet18", Standard, 65, 97, ir.Shape{2, 5, 7, 256}},
		{"resnet18", Standard, 1, 1, ir.Shape{2, 1, 1, 256}},
	} {
		if _, got := lower(t, c.name, c.stem, nn.Frozen, c.height, c.width); !got.Equal(c.want) {
			t.Errorf("%s, %s stem, %d×%d: got %v, want %v", c.name, c.stem, c.height, c.width, got, c.want)
		}
		if got := Channels(c.name); got != c.want[3] {
			t.Errorf("%s: Channels: got %d, want %d", c.name, got, c.want[3])
		}
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for _, name := range Names() {
		for _, stem := range []string{Standard, Small} {
			if err := Check(name, stem); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range [][2]string{{"resnet101", Standard}, {"", Standard}, {"resnet18", "tiny"}} {
		if err := Check(c[0], c[1]); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q with stem %q: got %v, want an Invalid error", c[0], c[1], err)
		}
	}
}
