package cuda_test

import (
	"bytes"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/errs"
)

func TestChoicesOfKernelsAreThoseOfAnotherProcess(t *testing.T) {
	b := open(t, backend.F32)
	backendtest.Run(t, b) // chooses
	chooser := b.(backend.Chooser)
	first, err := chooser.Choices()
	if err != nil || bytes.Count(first, []byte(`"kernel"`)) < 3 {
		t.Fatalf("got %s, %v", first, err)
	}
	if err := chooser.SetChoices(first); err != nil {
		t.Errorf("its own choices: %v", err)
	}
	again, err := chooser.Choices()
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("got %s, want %s", again, first)
	}
	other := strings.Replace(string(first), `"kernel":"`, `"kernel":"another `, 1)
	if err := chooser.SetChoices([]byte(other)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a convolution of which another kernel is in use: got %v", err)
	}
	more := `[{"conv":{"Op":0,"Type":0,"N":77,"H":5,"W":5,"C":3,"K":4,"Kernel":3,"Stride":1,"Pad":1,"TF32":false,"Deterministic":true,"Bias":false,"Residual":false,"ReLU":false},"kernel":"plan 7"}]`
	if err := chooser.SetChoices([]byte(more)); err != nil {
		t.Fatal(err)
	}
	if got, err := chooser.Choices(); err != nil || !bytes.Contains(got, []byte(more[1:len(more)-1])) {
		t.Errorf("got %s, %v, want it to hold %s", got, err, more)
	}
	for name, bad := range map[string]string{
		"nothing":               "",
		"no JSON":               "[{",
		"more behind the end":   "[] []",
		"an unknown field":      `[{"conv":{"N":1},"kernel":"x","more":1}]`,
		"no sizes":              `[{"conv":{},"kernel":"x"}]`,
		"no name":               strings.Replace(more, "plan 7", "", 1),
		"a name without an end": strings.Replace(more, "plan 7", strings.Repeat("x", 2000), 1),
	} {
		if err := chooser.SetChoices([]byte(bad)); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
