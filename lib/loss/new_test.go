package loss

import (
	"math"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

func TestNewKnowsEveryNameThatNamesLists(t *testing.T) {
	for _, name := range Names() {
		l, err := New(name, Options{NumClasses: 2, EmbeddingDim: 3})
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

func TestNewRefusesOptionsThatDoNotGoTogether(t *testing.T) {
	for name, c := range map[string]struct {
		loss string
		o    Options
		want string // in the message
	}{
		"an unknown miner":              {"margin", Options{Mining: "hardest"}, "distance-weighted"},
		"an unknown beta":               {"margin", Options{Beta: "free"}, BetaPerClass},
		"a penalty on a fixed beta":     {"margin", Options{Nu: 0.1}, "nu"},
		"a negative penalty":            {"margin", Options{Beta: BetaLearnt, Nu: -1}, "nu"},
		"a penalty that is no number":   {"margin", Options{Beta: BetaLearnt, Nu: math.NaN()}, "nu"},
		"an infinite penalty":           {"margin", Options{Beta: BetaLearnt, Nu: math.Inf(1)}, "nu"},
		"a beta for each of no classes": {"margin", Options{Beta: BetaPerClass}, "classes"},
		"proxies of no classes":         {"proxy-anchor", Options{EmbeddingDim: 4}, "0 classes"},
		"proxies of no neurons":         {"proxy-anchor", Options{NumClasses: 4}, "embedding of 0"},
		"mining without the margin":     {"triplet", Options{Mining: "nearest"}, "nearest"},
		"a beta without the margin":     {"contrastive", Options{Beta: BetaLearnt}, BetaLearnt},
		"a penalty without the margin":  {"classification", Options{Nu: 1}, "nu"},
	} {
		l, err := New(c.loss, c.o)
		if l != nil || errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v, want an invalid-argument error with %q", name, l, err, c.want)
		}
	}
}
