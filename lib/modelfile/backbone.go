package modelfile

import (
	"slices"
	"strings"

	"libdsl/lib/backbone"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/model"
)

// anchor is a tensor that every ResNet has, which shows the prefix of all names.
const anchor = "layer1.0.conv1.weight"

// owned begin the names of what makes up the backbone, in which nothing may be surplus: it would belong to another network.
var owned = []string{"conv1.", "bn1.", "maxpool.", "layer1.", "layer2.", "layer3."}

// foundBackbone says which tensors of a file make up a backbone.
type foundBackbone struct {
	name    string // backbone.Names
	prefix  string // of the file's names
	tensors map[string]ir.Tensor
}

// wanted is the tensor's name in the backbone, and whether it has such a tensor.
func (b *foundBackbone) wanted(t *foreignTensor) (string, bool) {
	name, ok := strings.CutPrefix(t.name, b.prefix)
	_, known := b.tensors[name]
	return name, ok && known
}

// findBackbone finds the one ResNet among a file's tensors and checks names and shapes.
func findBackbone(tensors []foreignTensor) (*foundBackbone, error) {
	prefix, err := findPrefix(tensors)
	if err != nil {
		return nil, err
	}
	byName := map[string]*foreignTensor{}
	for i := range tensors {
		if name, ok := strings.CutPrefix(tensors[i].name, prefix); ok {
			byName[name] = &tensors[i]
		}
	}
	if t := byName["conv1.0.weight"]; t != nil {
		return nil, errs.New(errs.Unsupported, "tensor %q: it is of a deep stem, as timm's variants with \"c\", \"d\", \"s\" or \"t\" have, want one 7×7 convolution, %q",
			t.name, prefix+"conv1.weight")
	}
	best, err := closest(byName)
	if err != nil {
		return nil, err
	}
	if err := best.checkNames(prefix); err != nil {
		return nil, err
	}
	b := &foundBackbone{name: best.name, prefix: prefix, tensors: map[string]ir.Tensor{}}
	for _, want := range best.tensors {
		b.tensors[want.Name] = want
		if t := byName[want.Name]; !slices.Equal(t.shape, torchShape(want.Shape)) {
			return nil, errs.New(errs.Invalid, "tensor %q: got shape %v, want %v of %s", t.name, t.shape, torchShape(want.Shape), best.name)
		}
	}
	return b, nil
}

// findPrefix is what stands before the names of the only ResNet.
func findPrefix(tensors []foreignTensor) (string, error) {
	var found []string
	for _, t := range tensors {
		if p, ok := strings.CutSuffix(t.name, anchor); ok && (p == "" || strings.HasSuffix(p, ".")) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		first := "none"
		if len(tensors) > 0 {
			first = tensors[0].name
		}
		return "", errs.New(errs.Invalid, "tensor %q is missing, also behind a prefix: got %d tensors, the first is %.80q; want the names of torchvision's ResNet",
			anchor, len(tensors), first)
	case 1:
		return found[0], nil
	}
	slices.Sort(found)
	return "", errs.New(errs.Invalid, "got %d networks, with the prefixes %.40q and %.40q: keep one of them", len(found), found[0], found[1])
}

// match is how well a backbone fits a file.
type match struct {
	name             string
	tensors          []ir.Tensor
	missing, surplus []string
}

// closest is the backbone with the fewest differences in names.
func closest(byName map[string]*foreignTensor) (*match, error) {
	var best *match
	for _, name := range backbone.Names() {
		m := &match{name: name}
		var err error
		if m.tensors, err = model.BackboneTensors(name); err != nil {
			return nil, err
		}
		known := map[string]bool{}
		for _, t := range m.tensors {
			known[t.Name] = true
			if byName[t.Name] == nil {
				m.missing = append(m.missing, t.Name)
			}
		}
		for name := range byName {
			if !known[name] && isOwned(name) {
				m.surplus = append(m.surplus, name)
			}
		}
		slices.Sort(m.surplus)
		if best == nil || len(m.missing)+len(m.surplus) < len(best.missing)+len(best.surplus) {
			best = m
		}
	}
	return best, nil
}

func isOwned(name string) bool {
	return !strings.HasSuffix(name, ".num_batches_tracked") &&
		slices.ContainsFunc(owned, func(p string) bool { return strings.HasPrefix(name, p) })
}

func (m *match) checkNames(prefix string) error {
	if len(m.missing) > 0 {
		return errs.New(errs.Invalid, "tensor %q is missing: got %d of the %d that %s, the closest network, has",
			prefix+m.missing[0], len(m.tensors)-len(m.missing), len(m.tensors), m.name)
	}
	if len(m.surplus) > 0 {
		return errs.New(errs.Invalid, "tensor %q: got %d tensors more than %s, the closest network, has", prefix+m.surplus[0], len(m.surplus), m.name)
	}
	return nil
}

// torchShape is the shape of one of our tensors in torch's order.
func torchShape(s ir.Shape) []uint64 {
	out := make([]uint64, len(s))
	for i, d := range s {
		out[i] = uint64(d)
	}
	if len(s) == 4 {
		out[1], out[2], out[3] = out[3], out[1], out[2]
	}
	return out
}
