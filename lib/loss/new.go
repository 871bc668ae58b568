package loss

import (
	"slices"
	"strings"

	"libdsl/lib/errs"
)

// builders makes each loss, in the order of Names.
var builders = []struct {
	name string
	make func() Loss
}{
	{"margin", func() Loss { return NewMargin() }},
	{"contrastive", func() Loss { return NewContrastive() }},
	{"triplet", func() Loss { return NewTriplet() }},
	{"classification", func() Loss { return NewClassification() }},
}

// Names lists the losses of the package, the default first.
func Names() []string {
	names := make([]string, len(builders))
	for i, b := range builders {
		names[i] = b.name
	}
	return names
}

// Options are what a loss needs to know beside its name.
type Options struct{}

// Check reports whether New knows the loss, before the data are known. Errors: errs.Invalid that names the choices.
func Check(name string, _ Options) error { return oneOf("loss", name, Names()) }

// New returns the loss of this name with its defaults. Errors: errs.Invalid that names the choices.
func New(name string, o Options) (Loss, error) {
	if err := Check(name, o); err != nil {
		return nil, err
	}
	return builders[slices.Index(Names(), name)].make(), nil
}

// oneOf tests that got is one of the choices of what.
func oneOf(what, got string, choices []string) error {
	if slices.Contains(choices, got) {
		return nil
	}
	return errs.New(errs.Invalid, "%s: got %q, want one of %s", what, got, strings.Join(choices, ", "))
}
