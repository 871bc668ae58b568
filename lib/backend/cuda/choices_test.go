package cuda_test

import (
	"bytes"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// The emulated cuDNN's engine 30 is not deterministic; a choice made elsewhere names it.
func TestOnlyAnExecutorThatMayUsesWhatIsNotDeterministic(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuDNN has other engines")
	}
	b := open(t, backend.F32)
	p := &ir.Program{Tensors: []ir.Tensor{{Name: "x", Shape: ir.Shape{2, 9, 9, 3}, Role: ir.Input}, {Name: "dy", Shape: ir.Shape{2, 9, 9, 5}, Role: ir.Input},
		{Name: "dw", Shape: ir.Shape{5, 3, 3, 3}, Output: true}},
		Steps: []ir.Step{{Kind: ir.ConvGradWeights, Phase: ir.Forward, In: []ir.TensorID{0, 1}, Out: []ir.TensorID{2, ir.None},
			Attrs: ir.Attrs{Kernel: 3, Stride: 1, Pad: 1}}}}
	pl, err := plan.Build(p, b.PlanOptions())
	must(t, err)
	for _, deterministic := range []string{"true", "false"} {
		must(t, b.(backend.Chooser).SetChoices([]byte(`[{"conv":{"Op":2,"Type":0,"N":2,"H":9,"W":9,"C":3,"K":5,"Kernel":3,"Stride":1,"Pad":1,"TF32":false,"Deterministic":`+
			deterministic+`,"Bias":false,"Residual":false,"ReLU":false},"kernel":"cudnn engine 30"}]`)))
	}
	for _, may := range []bool{false, true} {
		e, err := b.NewExecutor(backend.Options{Nondeterministic: may})
		must(t, err)
		s, err := b.NewStore(nil)
		must(t, err)
		prog, err := e.Compile(pl, s)
		must(t, err)
		if got := prog.Kernels()[0]; strings.HasSuffix(got, "cudnn engine 30") != may {
			t.Errorf("nondeterministic %v: got kernel %q", may, got)
		}
		must(t, prog.Close())
		must(t, s.Close())
		must(t, e.Close())
	}
}

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
