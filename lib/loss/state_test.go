package loss

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"libdsl/lib/errs"
)

// train does so many steps on batches of seeds from first on and returns the losses.
func train(t *testing.T, l Loss, dim int, first, steps uint64) (values []float64) {
	t.Helper()
	for seed := first; seed < first+steps; seed++ {
		x, labels := batch(seed, 12, dim, 3)
		v, _, err := l.Compute(x, dim, labels, make([]float32, len(x)))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
		if p, ok := l.(Parametric); ok {
			p.Update(1e-3)
		}
	}
	return values
}

func TestARestoredLossGoesOnBitForBit(t *testing.T) {
	const dim = 5
	for _, m := range metrics {
		l, ok := made(t, m.loss, m.o, dim).(Stateful)
		if !ok {
			continue
		}
		train(t, l, dim, 1, 4)
		saved := l.State()
		want := train(t, l, dim, 5, 4) // must not change what was saved
		again := made(t, m.loss, m.o, dim).(Stateful)
		if err := again.Restore(saved); err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if got := train(t, again, dim, 5, 4); !slices.Equal(got, want) || !reflect.DeepEqual(again.State(), l.State()) {
			t.Errorf("%s: got losses %v, want %v, and the same state", m.name, got, want)
		}
		if len(saved) > 0 && reflect.DeepEqual(saved, l.State()) {
			t.Errorf("%s: the state does not change by training", m.name)
		}
	}
}

func TestRestoreRefusesWhatDoesNotFitAndChangesNothing(t *testing.T) {
	l := made(t, "margin", Options{Beta: BetaPerClass, Mining: "distance-weighted"}, 4).(Stateful)
	train(t, l, 4, 1, 2)
	want := l.State()
	for name, spoil := range map[string]func(s []State) []State{
		"nothing":                func([]State) []State { return nil },
		"a part too few":         func(s []State) []State { return s[1:] },
		"another name":           func(s []State) []State { s[1].Name = "beta.n"; return s },
		"too few numbers":        func(s []State) []State { s[0].Floats = s[0].Floats[1:]; return s },
		"too many counts":        func(s []State) []State { s[4].Counts = append(s[4].Counts, 1); return s },
		"a NaN":                  func(s []State) []State { s[0].Floats[7] = math.NaN(); return s },
		"an infinity":            func(s []State) []State { s[1].Floats[7] = math.Inf(-1); return s },
		"a negative mean square": func(s []State) []State { s[2].Floats[0] = -1; return s },
		"a negative count":       func(s []State) []State { s[4].Counts[0] = -1; return s },
	} {
		saved := l.State()
		saved[0].Floats[0] = 77
		if err := l.Restore(spoil(saved)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
		if !reflect.DeepEqual(l.State(), want) {
			t.Fatalf("%s: the state has changed", name)
		}
	}
}

func TestStateNames(t *testing.T) {
	l := made(t, "margin", Options{Beta: BetaLearnt, Mining: "distance-weighted"}, 4).(Stateful)
	var names []string
	for _, s := range l.State() {
		names = append(names, s.Name)
	}
	if want := []string{"beta.value", "beta.m", "beta.v", "beta.steps", "mining.draws"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q: checkpoints hold these names", names, want)
	}
}

func TestAStepThatIsTakenBackIsDrawnAgain(t *testing.T) {
	const dim = 5
	l := made(t, "margin", Options{Mining: "distance-weighted"}, dim)
	train(t, l, dim, 1, 2)
	want, before := l.(Stateful).State(), train(t, l, dim, 9, 1)
	if reflect.DeepEqual(l.(Stateful).State(), want) {
		t.Fatal("a step draws nothing")
	}
	l.(Undoer).Undo()
	if got := l.(Stateful).State(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if after := train(t, l, dim, 9, 1); !slices.Equal(after, before) {
		t.Errorf("got loss %v, want %v", after, before)
	}
}
