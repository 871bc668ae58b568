package cuda_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

func open(t *testing.T, p backend.Precision) backend.Backend {
	t.Helper()
	emulated.Start(t)
	b, err := cuda.Open(backend.Device{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) { backendtest.Run(t, open(t, backend.F32)) }

func TestConformanceInTF32(t *testing.T) { backendtest.RunRounded(t, open(t, backend.TF32), 5e-3) }

func TestConformanceInBFloat16(t *testing.T) { backendtest.RunRounded(t, open(t, backend.BF16), 2e-2) }

func TestArrays(t *testing.T) {
	b := open(t, backend.F32)
	before := emulated.Live()
	backendtest.RunArrays(t, b.(backend.ArrayBackend))
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

// inChild runs tests of this program in a process with another environment, which the doubles read once.
func inChild(t *testing.T, run string, env ...string) string {
	t.Helper()
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: what the emulated driver pretends is tested without a GPU")
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", run)
	cmd.Env = append(os.Environ(), append(env, "DSL_TEST_CHILD=1")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", env, err, out)
	}
	return string(out)
}

func childOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("DSL_TEST_CHILD") == "" {
		t.Skip("skipped: another test runs this in a process of its own")
	}
}

func TestConvolutionsWithoutCuDNNsEngines(t *testing.T) {
	out := inChild(t, "^TestConformance(InBFloat16)?$/(.*[Cc]onv|network)", "DSL_EMULATED_HEURISTICS=3000")
	if passed := strings.Count(out, "    --- PASS: TestConformance"); passed < 100 {
		t.Errorf("%d cases passed, want 100 or more\n%s", passed, out)
	}
}

func TestConformanceWithEagerStreams(t *testing.T) {
	out := inChild(t, "^TestConformance(InBFloat16)?$/(network|an_update|the_same|outputs|a_Write|masked|a_run)", "DSL_EMULATED_ORDER=1")
	if passed := strings.Count(out, "    --- PASS: TestConformance"); passed < 20 {
		t.Errorf("%d cases passed, want 20 or more\n%s", passed, out)
	}
}

func TestAnOlderGPUComputesInFloat32(t *testing.T) {
	inChild(t, "^TestChildOfCapability75$", "DSL_EMULATED_CAPABILITY=75")
}

func TestChildOfCapability75(t *testing.T) {
	childOnly(t)
	if b := open(t, backend.Auto); b.Device() != "cuda:0, f32" {
		t.Errorf("got %q, want float32", b.Device())
	}
	if _, err := cuda.Open(backend.Device{Precision: backend.BF16}); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("bfloat16: got %v, want %v", err, errs.Unsupported)
	}
}

func TestOutOfMemoryIsAnErrorAndNothingMore(t *testing.T) {
	inChild(t, "^TestChildWithLittleMemory$", "DSL_EMULATED_MEMORY=100000000")
}

func TestChildWithLittleMemory(t *testing.T) {
	childOnly(t)
	b := open(t, backend.F32)
	e, err := b.NewExecutor(backend.Options{})
	must(t, err)
	before := emulated.Live()
	if _, _, err := compile(b, e, 3000); errs.KindOf(err) != errs.OutOfMemory {
		t.Errorf("a program of 3 × 36 MB: got %v, want %v", err, errs.OutOfMemory)
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
	if got := sum(t, b, e, 10); got != 3 {
		t.Errorf("a small program afterwards: got %v, want 3", got)
	}
	must(t, e.Close())
	before = emulated.Live()
	if _, err := b.(backend.ArrayBackend).NewArray(make([]float32, 30_000_000), 3); errs.KindOf(err) != errs.OutOfMemory {
		t.Errorf("an array of 120 MB: got %v, want %v", err, errs.OutOfMemory)
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

func TestEverythingIsFreed(t *testing.T) {
	b := open(t, backend.BF16)
	before := emulated.Live()
	e, err := b.NewExecutor(backend.Options{})
	must(t, err)
	for range 3 {
		if got := sum(t, b, e, 10); got != 3 {
			t.Errorf("got %v, want 3", got)
		}
	}
	must(t, e.Close())
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}

func TestNothingIsCurrentOnACallersThread(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: tests/gpu/together.py looks at the real driver's contexts")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := open(t, backend.F32)
	if _, err := cuda.Describe(0); err != nil || emulated.Current() {
		t.Errorf("after opening a GPU: %v, a context is current: %v", err, emulated.Current())
	}
	e, err := b.NewExecutor(backend.Options{})
	must(t, err)
	sum(t, b, e, 10)
	must(t, e.Close())
	a, err := b.(backend.ArrayBackend).NewArray([]float32{1, 2, 3}, 1)
	must(t, err)
	must(t, a.Distances(context.Background(), []float32{1}, make([]float32, 3)))
	must(t, a.Close())
	if emulated.Current() {
		t.Error("after a program and an array: a context is current")
	}
}

func TestAutoIsBFloat16(t *testing.T) {
	if b := open(t, backend.Auto); b.Device() != "cuda:0, bf16" {
		t.Errorf("got %q, want bfloat16", b.Device())
	}
	if _, err := cuda.Open(backend.Device{Ordinal: 99}); errs.KindOf(err) != errs.Device {
		t.Errorf("GPU 99: got %v, want %v", err, errs.Device)
	}
	if n, err := cuda.Count(); err != nil || n < 1 {
		t.Errorf("got %d GPUs (%v), want 1 or more", n, err)
	}
	if d, err := cuda.Describe(0); err != nil || d.Name == "" || d.TotalMemory < d.FreeMemory || d.CuDNN == "" || d.CuBLAS == "" {
		t.Errorf("got %+v (%v)", d, err)
	}
}

// compile makes a program that adds 1 and 2 in feature maps of [1, n, n, 1], and writes its inputs.
func compile(b backend.Backend, e backend.Executor, n int) (backend.Program, backend.Store, error) {
	x := ir.Shape{1, n, n, 1}
	p := &ir.Program{Tensors: []ir.Tensor{{Name: "a", Shape: x, Role: ir.Input}, {Name: "b", Shape: x, Role: ir.Input}, {Name: "y", Shape: x, Output: true}},
		Steps: []ir.Step{{Kind: ir.Add, Phase: ir.Forward, In: []ir.TensorID{0, 1}, Out: []ir.TensorID{2}}}}
	pl, err := plan.Build(p, b.PlanOptions())
	if err != nil {
		return nil, nil, err
	}
	s, err := b.NewStore(nil)
	if err != nil {
		return nil, nil, err
	}
	prog, err := e.Compile(pl, s)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return prog, s, nil
}

// sum runs the program and returns the last of its equal numbers.
func sum(t *testing.T, b backend.Backend, e backend.Executor, n int) float32 {
	t.Helper()
	prog, s, err := compile(b, e, n)
	must(t, err)
	for i, name := range []string{"a", "b"} {
		in, err := prog.InputF32(name)
		must(t, err)
		for k := range in {
			in[k] = float32(i + 1)
		}
	}
	must(t, prog.Forward(context.Background(), nil))
	y, err := prog.Output("y")
	must(t, err)
	if slices.Min(y) != slices.Max(y) {
		t.Errorf("sums from %v to %v", slices.Min(y), slices.Max(y))
	}
	last := y[len(y)-1]
	must(t, prog.Close())
	must(t, s.Close())
	return last
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trainer makes a program that takes one Adam step of a parameter w along the input dw.
func trainer(t *testing.T, b backend.Backend, e backend.Executor, s backend.Store) backend.Program {
	t.Helper()
	p := &ir.Program{Tensors: append([]ir.Tensor{{Name: "dw", Shape: ir.Shape{4}, Role: ir.Input}}, adamTensors...),
		Steps: []ir.Step{{Kind: ir.Adam, Phase: ir.Update, In: []ir.TensorID{0, 1, 2, 3}}}}
	pl, err := plan.Build(p, b.PlanOptions())
	must(t, err)
	prog, err := e.Compile(pl, s)
	must(t, err)
	return prog
}

var adamTensors = []ir.Tensor{{Name: "w", Shape: ir.Shape{4}, Role: ir.Param}, {Name: "m", Shape: ir.Shape{4}, Role: ir.State},
	{Name: "v", Shape: ir.Shape{4}, Role: ir.State}}

func TestUpdatesByTwoExecutorsComeOneAfterTheOther(t *testing.T) {
	b := open(t, backend.F32)
	s, err := b.NewStore(adamTensors)
	must(t, err)
	var programs []backend.Program
	for range 2 {
		e, err := b.NewExecutor(backend.Options{})
		must(t, err)
		prog := trainer(t, b, e, s)
		dw, err := prog.InputF32("dw")
		must(t, err)
		for i := range dw {
			dw[i] = 1
		}
		programs = append(programs, prog)
		t.Cleanup(func() { must(t, e.Close()) })
	}
	a := &ir.Args{LR: 0.1, RowLR: 0.1, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, Step: 1}
	for _, p := range programs {
		must(t, p.Forward(context.Background(), a))
	}
	for _, p := range programs {
		must(t, p.Backward(context.Background(), a))
	}
	m := make([]float32, 4)
	must(t, s.Read("m", m))
	if m[3] < 0.189 || m[3] > 0.191 {
		t.Errorf("the first moment after two updates: got %v, want 0.19", m[3])
	}
	for _, p := range programs {
		must(t, p.Close())
	}
	must(t, s.Close())
}

// doubler makes a program whose Forward doubles x, and whose Backward takes an Adam step of w: along dw, or along 2x, which it computes again.
func doubler(t *testing.T, b backend.Backend, e backend.Executor, s backend.Store, again bool) backend.Program {
	t.Helper()
	four := ir.Shape{4}
	p := &ir.Program{Tensors: append([]ir.Tensor{{Name: "x", Shape: four, Role: ir.Input}, {Name: "y", Shape: four, Output: true},
		{Name: "dw", Shape: four, Role: ir.Input}}, adamTensors...),
		Steps: []ir.Step{{Kind: ir.Add, Phase: ir.Forward, In: []ir.TensorID{0, 0}, Out: []ir.TensorID{1}},
			{Kind: ir.Adam, Phase: ir.Update, In: []ir.TensorID{2, 3, 4, 5}}}}
	if again {
		p.Tensors[2].Role = ir.Temp
		p.Steps = slices.Insert(p.Steps, 1, ir.Step{Kind: ir.Add, Phase: ir.Backward, In: []ir.TensorID{0, 0}, Out: []ir.TensorID{2}})
	}
	pl, err := plan.Build(p, b.PlanOptions())
	must(t, err)
	prog, err := e.Compile(pl, s)
	must(t, err)
	return prog
}

// steps trains with inputs 1, 2 and 3, each overwritten as soon as that is allowed, and checks the outputs and the first moment.
func steps(t *testing.T, b backend.Backend, again bool) {
	t.Helper()
	e, err := b.NewExecutor(backend.Options{})
	must(t, err)
	s, err := b.NewStore(adamTensors)
	must(t, err)
	prog := doubler(t, b, e, s, again)
	set := func(name string, v float32) {
		in, err := prog.InputF32(name)
		must(t, err)
		for i := range in {
			in[i] = v
		}
	}
	var m float32
	for i := range 3 {
		x, gradient := float32(i+1), float32(10*(i+1))
		if again {
			gradient = 2 * x
		} else {
			set("dw", gradient)
		}
		set("x", x)
		a := &ir.Args{LR: 0.1, RowLR: 0.1, Beta1: 0.5, Beta2: 0.999, AdamEps: 1e-8, Step: int64(i + 1)} // halves are exact
		must(t, prog.Forward(context.Background(), a))
		set("x", -1)
		if y, err := prog.Output("y"); err != nil || slices.Min(y) != 2*x || slices.Max(y) != 2*x {
			t.Errorf("step %d: got %v (%v), want %v", i, y, err, 2*x)
		}
		must(t, prog.Backward(context.Background(), a))
		if !again {
			set("dw", -1)
		}
		m = m/2 + gradient/2
	}
	got := make([]float32, 4)
	must(t, s.Read("m", got))
	if slices.Min(got) != m || slices.Max(got) != m {
		t.Errorf("the first moment: got %v, want %v", got, m)
	}
	must(t, prog.Close())
	must(t, s.Close())
	must(t, e.Close())
}

func TestTheNextInputsAreCopiedWhileBackwardRuns(t *testing.T) {
	b := open(t, backend.F32)
	for _, c := range []struct {
		name      string
		again     bool // Backward reads what Forward reads
		order     string
		overtaken int // copies that ran before older work, of those after the first
	}{
		{"read by Forward alone, late", false, "0", -1},
		{"read by Forward alone, early", false, "1", 2},
		{"read by Backward too, late", true, "0", -1},
		{"read by Backward too, early", true, "1", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("DSL_EMULATED_ORDER", c.order)
			emulated.Overtaken()
			steps(t, b, c.again)
			if got := emulated.Overtaken(); !emulated.Real() && c.overtaken >= 0 && got != c.overtaken {
				t.Errorf("%d copies ran while older work was still to be done, want %d", got, c.overtaken)
			}
		})
	}
}

func TestClosingInTheWrongOrderLeaksNothing(t *testing.T) {
	b := open(t, backend.F32)
	before := emulated.Live()
	e, err := b.NewExecutor(backend.Options{})
	must(t, err)
	s, err := b.NewStore(adamTensors)
	must(t, err)
	prog := trainer(t, b, e, s)
	must(t, s.Close())
	if err := prog.Forward(context.Background(), nil); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Forward on a closed store: got %v, want %v", err, errs.Invalid)
	}
	if err := s.Write("w", make([]float32, 4)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Write to a closed store: got %v, want %v", err, errs.Invalid)
	}
	must(t, e.Close())
	for range 2 {
		must(t, prog.Close())
		must(t, s.Close())
	}
	if after := emulated.Live(); !maps.Equal(before, after) {
		t.Errorf("handles before and after: %v and %v", before, after)
	}
}
