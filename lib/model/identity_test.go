package model

import (
	"maps"
	"slices"
	"testing"

	"libdsl/lib/learner"
)

func TestTheIdentityIsOfAllThatAnEmbeddingDependsOnAndOfNothingElse(t *testing.T) {
	m := testModel(t, small)
	identity := m.Identity()
	copied := func(change func(*Model)) string {
		c := &Model{Arch: m.Arch, Head: m.Head, InputSize: m.InputSize, Learners: m.Learners, Weights: maps.Clone(m.Weights)}
		change(c)
		return c.Identity()
	}
	if len(identity) != 64 || copied(func(c *Model) { c.ClassNames = []string{"a", "b"} }) != identity {
		t.Errorf("got %q, and another with class names", identity)
	}
	last := slices.Sorted(maps.Keys(m.Weights))[len(m.Weights)-1]
	for name, change := range map[string]func(*Model){
		"input size": func(c *Model) { c.InputSize++ },
		"attention":  func(c *Model) { c.Arch.Attention = NoAttention },
		"head":       func(c *Model) { c.Head = ClassificationHead },
		"learners":   func(c *Model) { c.Learners, _ = learner.New(small.EmbeddingDim, 3) },
		"a weight": func(c *Model) {
			c.Weights[last] = slices.Clone(c.Weights[last])
			c.Weights[last][len(c.Weights[last])-1]++
		},
		"a missing tensor": func(c *Model) { delete(c.Weights, last) },
	} {
		if copied(change) == identity {
			t.Errorf("%s: the identity stays the same", name)
		}
	}
}
