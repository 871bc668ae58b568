package loss

import (
	"cmp"
	"slices"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/miner"
)

// Options are what a loss needs to know beside its name. Choices that a loss does not have are errors; the facts (NumClasses, EmbeddingDim,
// Seed) may always be given.
type Options struct {
	NumClasses   int     // labels are below it; for losses with something for each class
	EmbeddingDim int     // D, for losses with something for each neuron
	Mining       string  // of "margin": one of miner.Names, "" for the first
	Beta         string  // of "margin": BetaFixed, BetaLearnt or BetaPerClass, "" for the first
	Nu           float64 // of "margin" with a learnt β: weight of the penalty Nu·mean|β|, 0 or more; Wu et al. use 0 in their code
	Seed         uint64  // of the random draws
}

func (o Options) mining() string { return cmp.Or(o.Mining, miner.Names()[0]) }

func (o Options) boundaries() string { return cmp.Or(o.Beta, BetaFixed) }

// builders makes each loss, in the order of Names.
var builders = []struct {
	name  string
	build func(Options) (Loss, error)
}{
	{"margin", buildMargin},
	{"contrastive", func(Options) (Loss, error) { return NewContrastive(), nil }},
	{"triplet", func(Options) (Loss, error) { return NewTriplet(), nil }},
	{"proxy-anchor", buildProxyAnchor},
	{"multi-similarity", func(Options) (Loss, error) { return NewMultiSimilarity(), nil }},
	{"supervised-contrastive", func(Options) (Loss, error) { return NewSupervisedContrastive(), nil }},
	{"classification", func(Options) (Loss, error) { return NewClassification(), nil }},
}

// Names lists the losses of the package, the default first.
func Names() []string {
	names := make([]string, len(builders))
	for i, b := range builders {
		names[i] = b.name
	}
	return names
}

// Check reports whether the name and the choices among the options go together, before the data are known.
// Errors: errs.Invalid that names what is wrong and what could be chosen.
func Check(name string, o Options) error {
	if err := oneOf("loss", name, Names()); err != nil {
		return err
	}
	if name != "margin" {
		if o.Mining != "" || o.Beta != "" || o.Nu != 0 {
			return errs.New(errs.Invalid, "loss %s: got mining %q, beta %q, nu %v, want none of them: they belong to the margin loss",
				name, o.Mining, o.Beta, o.Nu)
		}
		return nil
	}
	if err := miner.Check(o.mining()); err != nil {
		return err
	}
	if err := oneOf("loss margin: beta", o.boundaries(), []string{BetaFixed, BetaLearnt, BetaPerClass}); err != nil {
		return err
	}
	if !(o.Nu >= 0 && o.Nu-o.Nu == 0) || o.Nu > 0 && o.boundaries() == BetaFixed {
		return errs.New(errs.Invalid, "loss margin: nu: got %v with a %s beta, want 0 or more with a learnt one", o.Nu, o.boundaries())
	}
	return nil
}

// New returns the loss of this name. Errors: errs.Invalid as from Check, and where NumClasses or EmbeddingDim is needed and below 1.
func New(name string, o Options) (Loss, error) {
	if err := Check(name, o); err != nil {
		return nil, err
	}
	return builders[slices.Index(Names(), name)].build(o)
}

// oneOf tests that got is one of the choices of what.
func oneOf(what, got string, choices []string) error {
	if slices.Contains(choices, got) {
		return nil
	}
	return errs.New(errs.Invalid, "%s: got %q, want one of %s", what, got, strings.Join(choices, ", "))
}
