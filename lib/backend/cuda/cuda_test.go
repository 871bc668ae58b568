package cuda_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
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
