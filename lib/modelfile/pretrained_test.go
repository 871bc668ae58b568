package modelfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/model"
)

// stateTensor is a tensor as PyTorch has it.
type stateTensor struct {
	dtype string
	shape []int
	value func(i int) float32 // of the i-th number in PyTorch's order; F32 and I64 only
}

type stateDict map[string]stateTensor

// file writes the tensors in the order of their names.
func (d stateDict) file(t *testing.T) []byte {
	t.Helper()
	type entry struct {
		Dtype   string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}
	header, data := map[string]entry{}, []byte(nil)
	for _, name := range slices.Sorted(maps.Keys(d)) {
		x, n, begin := d[name], 1, len(data)
		for _, dim := range x.shape {
			n *= dim
		}
		for i := range n {
			if x.dtype == "F32" {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x.value(i)))
			} else {
				data = binary.LittleEndian.AppendUint64(data, uint64(x.value(i)))
			}
		}
		header[name] = entry{x.dtype, append([]int{}, x.shape...), [2]int{begin, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return foreign(string(text), data)
}

// resnet is the state dict of a torchvision network with some of what libdsl does not read. The numbers tell where they stand: a tensor's first
// is its own, and each next is 1/1024 more, up to 4.
func resnet(t *testing.T, name, prefix string) stateDict {
	t.Helper()
	tensors, err := model.BackboneTensors(name)
	if err != nil {
		t.Fatal(err)
	}
	d := stateDict{}
	for k, x := range tensors {
		shape := slices.Clone(x.Shape)
		if len(shape) == 4 {
			shape = []int{x.Shape[0], x.Shape[3], x.Shape[1], x.Shape[2]} // KRSC to KCRS
		}
		d[prefix+x.Name] = stateTensor{"F32", shape, func(i int) float32 { return float32(k) + float32(i%4096)/1024 }}
		if norm, ok := strings.CutSuffix(x.Name, "running_mean"); ok {
			d[prefix+norm+"num_batches_tracked"] = stateTensor{"I64", nil, func(int) float32 { return 7 }}
		}
	}
	d[prefix+"layer4.0.conv1.weight"] = stateTensor{"F32", []int{2, 3}, func(int) float32 { return float32(math.NaN()) }} // never read
	d[prefix+"fc.bias"] = stateTensor{"F32", []int{10}, func(int) float32 { return 1 }}
	return d
}

func save(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAStateDictOfEachBackboneIsRead(t *testing.T) {
	for name, prefix := range map[string]string{"resnet18": "", "resnet34": "module.", "resnet50": "module.encoder.0."} {
		data := resnet(t, name, prefix).file(t)
		p, err := ReadPretrained(save(t, data), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(data)
		if want := (model.Arch{Backbone: name}); p.Arch != want || p.Hash != hex.EncodeToString(digest[:]) {
			t.Errorf("got %+v, %s, want %+v, %x", p.Arch, p.Hash, want, digest)
		}
		tensors, err := model.BackboneTensors(name)
		if err != nil || len(p.Weights) != len(tensors) {
			t.Fatalf("%s: got %d tensors, %v, want %d", name, len(p.Weights), err, len(tensors))
		}
		for k, x := range tensors {
			checkOrder(t, x.Name, p.Weights[x.Name], x.Shape, k)
		}
	}
}

// checkOrder looks each number of our [K,R,S,C] up in PyTorch's [K,C,R,S].
func checkOrder(t *testing.T, name string, got []float32, shape []int, first int) {
	t.Helper()
	for i, v := range got {
		at := i
		if len(shape) == 4 {
			r, s, c := shape[1], shape[2], shape[3]
			ic, is, ir, ik := i%c, i/c%s, i/c/s%r, i/c/s/r
			at = ((ik*c+ic)*r+ir)*s + is
		}
		if want := float32(first) + float32(at%4096)/1024; v != want {
			t.Fatalf("%s: element %d is %v, want %v", name, i, v, want)
		}
	}
}

func TestStateDictsThatAreNoBackboneAreRefused(t *testing.T) {
	number := func(int) float32 { return 1 }
	for _, c := range []struct {
		name   string
		change func(stateDict)
		kind   errs.Kind
		want   string
	}{
		{"a tensor less", func(d stateDict) { delete(d, "layer2.1.bn2.bias") }, errs.Invalid, `tensor "layer2.1.bn2.bias" is missing: got 74 of the 75 that resnet18`},
		{"no running statistics", func(d stateDict) {
			maps.DeleteFunc(d, func(name string, _ stateTensor) bool { return strings.Contains(name, "running_") })
		}, errs.Invalid, `"bn1.running_mean" is missing`},
		{"a block more, as of a deeper network", func(d stateDict) { d["layer3.2.conv1.weight"] = stateTensor{"F32", []int{1}, number} },
			errs.Invalid, `tensor "layer3.2.conv1.weight": got 1 tensors more than resnet18`},
		{"attention in a block", func(d stateDict) { d["layer1.0.se.fc1.weight"] = stateTensor{"F32", []int{1}, number} }, errs.Invalid, "layer1.0.se.fc1.weight"},
		{"a convolution in place of the max-pool", func(d stateDict) { d["maxpool.0.weight"] = stateTensor{"F32", []int{1}, number} }, errs.Invalid, "maxpool.0.weight"},
		{"a wider layer", func(d stateDict) { d["layer1.0.conv2.weight"] = stateTensor{"F32", []int{128, 64, 3, 3}, number} },
			errs.Invalid, `tensor "layer1.0.conv2.weight": got shape [128 64 3 3], want [64 64 3 3] of resnet18`},
		{"one channel", func(d stateDict) { d["conv1.weight"] = stateTensor{"F32", []int{64, 1, 7, 7}, number} }, errs.Invalid, "want [64 3 7 7]"},
		{"our own order", func(d stateDict) { d["conv1.weight"] = stateTensor{"F32", []int{64, 7, 7, 3}, number} }, errs.Invalid, "got shape [64 7 7 3]"},
		{"a deep stem", func(d stateDict) {
			delete(d, "conv1.weight")
			d["conv1.0.weight"] = stateTensor{"F32", []int{32, 3, 3, 3}, number}
		}, errs.Unsupported, `tensor "conv1.0.weight": it is of a deep stem`},
		{"integers", func(d stateDict) { d["bn1.bias"] = stateTensor{"I64", []int{64}, number} }, errs.Unsupported, `tensor "bn1.bias": got elements of type I64`},
		{"a number that is not one", func(d stateDict) {
			d["bn1.bias"] = stateTensor{"F32", []int{64}, func(i int) float32 { return float32(math.Log(float64(i) - 3)) }}
		}, errs.Corrupt, `tensor "bn1.bias": got NaN at 0`},
		{"a negative variance", func(d stateDict) {
			d["bn1.running_var"] = stateTensor{"F32", []int{64}, func(i int) float32 { return float32(5 - i) }}
		}, errs.Corrupt, `tensor "bn1.running_var": got -1 at 6`},
		{"variances of 0", func(d stateDict) {
			d["bn1.running_var"] = stateTensor{"F32", []int{64}, func(i int) float32 { return 0 }}
		},
			errs.Corrupt, `tensor "bn1.running_var": got zeros only`},
		{"nothing", func(d stateDict) { clear(d) }, errs.Invalid, "got 0 tensors, the first is \"none\""},
		{"other names", func(d stateDict) {
			clear(d)
			d["stem.conv.weight"] = stateTensor{"F32", []int{1}, number}
		}, errs.Invalid, `the first is "stem.conv.weight"`},
		{"two networks", func(d stateDict) {
			for name, x := range maps.Clone(d) {
				d["momentum."+name] = x
			}
		}, errs.Invalid, `got 2 networks, with the prefixes "" and "momentum."`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := resnet(t, "resnet18", "")
			c.change(d)
			p, err := ReadPretrained(save(t, d.file(t)), Limits{})
			if p != nil || errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `file "weights"`) {
				t.Errorf("got %v, %v, want %v with %q", p, err, c.kind, c.want)
			}
		})
	}
}

func TestASingleVarianceOfZeroIsRead(t *testing.T) {
	d := resnet(t, "resnet18", "")
	d["bn1.running_var"] = stateTensor{"F32", []int{64}, func(i int) float32 { return float32(i) }}
	if _, err := ReadPretrained(save(t, d.file(t)), Limits{}); err != nil {
		t.Error(err)
	}
}

func TestFilesThatAreNoWeightsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       string
	}{
		{"nothing", "", "neither"},
		{"a text", "path,label\n", "neither a .dsl nor a .safetensors file"},
		{"a file of PyTorch", "PK\x03\x04 and so on", "dsl.convert_weights"},
		{"an old file of PyTorch", "\x80\x02\x8a\x0alllll", "dsl.convert_weights"},
		{"a damaged model", magic + "and so on", "cut off"},
	} {
		if p, err := ReadPretrained(save(t, []byte(c.data)), Limits{}); errs.KindOf(err) != errs.Corrupt || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want Corrupt with %q", c.name, p, err, c.want)
		}
	}
	if _, err := ReadPretrained(filepath.Join(t.TempDir(), "absent"), Limits{}); errs.KindOf(err) != errs.NotFound {
		t.Errorf("got %v, want NotFound", err)
	}
	if _, err := ReadPretrained(t.TempDir(), Limits{}); errs.KindOf(err) != errs.IO {
		t.Errorf("a folder: got %v, want IO", err)
	}
}

func TestAFileThatShrinksWhileItIsReadIsAnError(t *testing.T) {
	data := resnet(t, "resnet18", "").file(t)
	for _, n := range []int{4, 100, len(data) / 2, len(data) - 1} {
		_, err := importBackbone(bytes.NewReader(data[:n]), uint64(len(data)))
		if err = foreignError("a", err); errs.KindOf(err) != errs.IO {
			t.Errorf("%d bytes: got %v, want IO", n, err)
		}
	}
}

func TestAModelIsReadWithoutItsHead(t *testing.T) {
	m := network(t)
	f, err := FromModel(m, Card{})
	if err != nil {
		t.Fatal(err)
	}
	data := mustEncode(t, f)
	p, err := ReadPretrained(save(t, data), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := m.Arch
	want.EmbeddingDim = 0
	if p.Arch != want || p.Hash != fmt.Sprintf("%x", sha256.Sum256(data)) || len(p.Weights) != len(m.Weights)-2 {
		t.Errorf("got %+v, %s, %d tensors", p.Arch, p.Hash, len(p.Weights))
	}
	for name, v := range p.Weights {
		if !slices.Equal(v, m.Weights[name]) {
			t.Errorf("%s differs", name)
		}
	}
}
