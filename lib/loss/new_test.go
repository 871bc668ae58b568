package loss

import (
	"strings"
	"testing"

	"libdsl/lib/errs"
)

func TestNewKnowsEveryNameThatNamesLists(t *testing.T) {
	for _, name := range Names() {
		l, err := New(name, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if l.Name() != name {
			t.Errorf("%s: got a loss called %q", name, l.Name())
		}
	}
}

func TestNewRefusesUnknownNamesAndNamesTheChoices(t *testing.T) {
	for _, name := range []string{"", "Margin", "margin ", "npairs"} {
		_, err := New(name, Options{})
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), strings.Join(Names(), ", ")) {
			t.Errorf("%q: got %v, want an invalid-argument error that lists the losses", name, err)
		}
	}
}
