package model

import (
	"libdsl/lib/backbone"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// Pretrained is trained weights that a training may start from: a backbone's and, where there is one, its attention's; never a head's.
type Pretrained struct {
	Arch    Arch    // what the weights fit; a field is "" where they fit any, EmbeddingDim is 0
	Weights Weights // BatchNorm's running statistics among them
	Hash    string  // SHA-256 of the file they came from, in lower-case hexadecimal; "" when they are from none
}

// Pretrained is m without its head, an embedding's or class scores. It shares m's memory.
func (m *Model) Pretrained() *Pretrained {
	p := &Pretrained{Arch: m.Arch, Weights: Weights{}}
	p.Arch.EmbeddingDim = 0
	for name, v := range m.Weights {
		if !ofHead(name) {
			p.Weights[name] = v
		}
	}
	return p
}

// Check returns an Invalid error when a network of architecture a cannot start from p.
func (p *Pretrained) Check(a Arch) error {
	for _, c := range []struct{ field, got, want string }{
		{"backbone", p.Arch.Backbone, a.Backbone}, {"stem", p.Arch.Stem, a.Stem}, {"attention", p.Arch.Attention, a.Attention},
	} {
		if c.got != "" && c.got != c.want {
			return errs.New(errs.Invalid, "model: weights to start from: got those of %s %q, want %q", c.field, c.got, c.want)
		}
	}
	return nil
}

// BackboneTensors lists a backbone's parameters and running statistics in the order of the network. Errors: Invalid for an unknown name.
func BackboneTensors(name string) ([]ir.Tensor, error) {
	all, err := Tensors(Arch{Backbone: name, Stem: backbone.Standard, Attention: NoAttention, EmbeddingDim: 1}, false)
	if err != nil {
		return nil, err
	}
	var out []ir.Tensor
	for _, t := range all {
		if !ofHead(t.Name) {
			out = append(out, t)
		}
	}
	return out, nil
}

func ofHead(name string) bool { return name == EmbeddingWeight || name == EmbeddingBias }
