package model

import (
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
)

func TestPretrainedWeightsFitTheirArchitectureWithAnyHead(t *testing.T) {
	set, err := learner.New(12, 1)
	if err != nil {
		t.Fatal(err)
	}
	a := Arch{"resnet18", "small", Gate, 12}
	w, err := Init(a, set.Subspaces(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p := (&Model{Arch: a, Learners: set, Weights: w}).Pretrained()
	if len(p.Weights) != len(w)-2 || p.Weights[EmbeddingWeight] != nil || p.Weights["attention.4.bias"] == nil {
		t.Errorf("got %d tensors of %d", len(p.Weights), len(w))
	}
	for _, c := range []struct {
		arch Arch
		want string
	}{
		{Arch{"resnet18", "small", Gate, 128}, ""},
		{Arch{"resnet50", "small", Gate, 12}, `backbone "resnet18", want "resnet50"`},
		{Arch{"resnet18", "standard", Gate, 12}, `stem "small", want "standard"`},
		{Arch{"resnet18", "small", NoAttention, 12}, `attention "gate", want "none"`},
	} {
		err := p.Check(c.arch)
		if (err == nil) != (c.want == "") || err != nil && (errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v: got %v, want %q", c.arch, err, c.want)
		}
	}
	bare := Pretrained{Arch: Arch{Backbone: "resnet18"}}
	if err := bare.Check(Arch{"resnet18", "small", NoAttention, 3}); err != nil {
		t.Errorf("a backbone alone fits any stem and attention: %v", err)
	}
}

func TestABackboneHasTheTensorsThatANetworkHasBesideAttentionAndHead(t *testing.T) {
	for _, name := range []string{"resnet18", "resnet34", "resnet50"} {
		all, err := Tensors(Arch{name, "small", Gate, 7}, false)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, x := range all {
			if !strings.HasPrefix(x.Name, "attention.") && !strings.HasPrefix(x.Name, "embedding.") {
				want = append(want, x.Name)
			}
		}
		tensors, err := BackboneTensors(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range tensors {
			got = append(got, x.Name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %d tensors, want %d", name, len(got), len(want))
		}
	}
	if _, err := BackboneTensors("vgg"); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v, want Invalid", err)
	}
}
