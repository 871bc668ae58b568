package onednn

import (
	"context"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/backend/goref"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
	"libdsl/lib/rng"
)

func TestConformance(t *testing.T) { backendtest.Run(t, Backend{}) }

// The kernels for lesser processors are tested in processes of their own, because oneDNN reads its limit once.
func TestKernelsForLesserProcessorsConform(t *testing.T) {
	if os.Getenv("ONEDNN_MAX_CPU_ISA") != "" {
		t.Skip("skipped: this is the process with a limit")
	}
	for isa, kernels := range map[string]string{"AVX2": "own:avx2", "SSE41": "own:base"} {
		t.Run(isa, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run",
				"^Test(KernelNames|Conformance)/(network|BatchNorm|Pool|MaxPool|GatedPool|elementwise|Linear|Adam|Norm|Drop|Scale)")
			cmd.Env = append(os.Environ(), "ONEDNN_MAX_CPU_ISA="+isa, "WANT_KERNELS="+kernels)
			out, err := cmd.CombinedOutput()
			if passed := strings.Count(string(out), "--- PASS: TestConformance/"); err != nil || passed < 100 {
				t.Errorf("%d cases passed, want 100 or more: %v\n%s", passed, err, out)
			}
		})
	}
}

func TestKernelNamesSayTheInstructionSet(t *testing.T) {
	want, limited := os.LookupEnv("WANT_KERNELS")
	prog, _ := compile(t, Backend{}, backend.Options{Threads: 1}, convNet(1, 8, 16, true))
	if k := prog.Kernels()[3]; !strings.HasPrefix(k, "Adam own:") || limited && k != "Adam "+want {
		t.Errorf("got %q, want Adam %s", k, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// convNet is one 3×3 convolution of stride 1 with its gradients and, if asked for, a step of Adam.
func convNet(batch, size, channels int, train bool) *ir.Program {
	x := ir.Shape{batch, size, size, channels}
	w := ir.Shape{channels, 3, 3, channels}
	p := &ir.Program{Tensors: []ir.Tensor{{Name: "x", Shape: x, Role: ir.Input}, {Name: "w", Shape: w, Role: ir.Param}, {Name: "y", Shape: x, Output: true},
		{Name: "dy", Shape: x, Role: ir.Input}, {Name: "dx", Shape: x, Output: true}, {Name: "dw", Shape: w, Output: true}, {Name: "m", Shape: w, Role: ir.State},
		{Name: "v", Shape: w, Role: ir.State}}}
	a := ir.Attrs{Kernel: 3, Stride: 1, Pad: 1, In: [4]int(x)}
	p.Steps = []ir.Step{
		{Kind: ir.Conv, Attrs: a, Phase: ir.Forward, In: []ir.TensorID{0, 1}, Out: []ir.TensorID{2}},
		{Kind: ir.ConvGradData, Attrs: a, Phase: ir.Backward, In: []ir.TensorID{1, 3}, Out: []ir.TensorID{4}},
		{Kind: ir.ConvGradWeights, Attrs: a, Phase: ir.Backward, In: []ir.TensorID{0, 3}, Out: []ir.TensorID{5, ir.None}},
	}
	if train {
		p.Steps = append(p.Steps, ir.Step{Kind: ir.Adam, Phase: ir.Update, In: []ir.TensorID{5, 1, 6, 7}})
	}
	return p
}

// compile fills a program of convNet with normal numbers.
func compile(t *testing.T, b backend.Backend, o backend.Options, p *ir.Program) (backend.Program, backend.Store) {
	t.Helper()
	pl, err := plan.Build(p, b.PlanOptions())
	must(t, err)
	s, err := b.NewStore([]ir.Tensor{p.Tensors[1], p.Tensors[6], p.Tensors[7]})
	must(t, err)
	e, err := b.NewExecutor(o)
	must(t, err)
	prog, err := e.Compile(pl, s)
	must(t, err)
	t.Cleanup(func() {
		must(t, prog.Close())
		must(t, e.Close())
		must(t, s.Close())
	})
	for _, name := range []string{"x", "dy"} {
		dst, err := prog.InputF32(name)
		must(t, err)
		copy(dst, normal(name, len(dst), 1))
	}
	n := p.Tensors[1].Shape.Count()
	must(t, s.Write("w", normal("w", n, 1/math.Sqrt(float64(n/p.Tensors[1].Shape[0])))))
	return prog, s
}

func normal(name string, n int, scale float64) []float32 {
	r, v := rng.New(1, name), make([]float32, n)
	for i := range v {
		v[i] = float32(scale * r.NormFloat64())
	}
	return v
}

var args = &ir.Args{LR: 1e-3, RowLR: 1e-3, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8, Step: 1}

// The weight gradient uses it always, forward and data gradient where it is allowed and there are channels enough.
func TestWinogradIsUsedWhereItPays(t *testing.T) {
	if lanes() != 16 {
		t.Skip("skipped: oneDNN has Winograd kernels for AVX-512 only")
	}
	for _, c := range []struct {
		channels int
		winograd bool
		steps    int
	}{{32, false, 1}, {32, true, 1}, {64, false, 1}, {64, true, 3}} {
		got, _ := compile(t, Backend{}, backend.Options{Threads: 1, Winograd: c.winograd}, convNet(2, 14, c.channels, false))
		if used := strings.Count(strings.Join(got.Kernels(), " "), "wino"); used != c.steps {
			t.Errorf("%d channels, allowed %v: used by %d steps, want %d: %v", c.channels, c.winograd, used, c.steps, got.Kernels())
		}
	}
}

// The layers of ResNets at 64 to 224 pixels that use it. Errors in norm against goref, whose sums are float64. The absolute bound of a direct kernel
// is five times what was measured.
func TestWinogradRoundsAtMostTenTimesAsMuchAsDirectConvolution(t *testing.T) {
	if lanes() != 16 {
		t.Skip("skipped: oneDNN has Winograd kernels for AVX-512 only")
	}
	for _, c := range []struct{ batch, size, channels int }{{1, 56, 64}, {2, 16, 64}, {1, 28, 128}, {4, 8, 128}, {1, 14, 256}, {8, 4, 256}} {
		p := convNet(c.batch, c.size, c.channels, false)
		want, _ := compile(t, goref.Backend{}, backend.Options{}, p)
		direct, _ := compile(t, Backend{}, backend.Options{Threads: 1}, p)
		winograd, _ := compile(t, Backend{}, backend.Options{Threads: 1, Winograd: true}, p)
		for _, prog := range []backend.Program{want, direct, winograd} {
			must(t, prog.Forward(context.Background(), args))
			must(t, prog.Backward(context.Background(), args))
		}
		for _, name := range []string{"y", "dx", "dw"} {
			least, most := difference(t, direct, want, name), difference(t, winograd, want, name)
			t.Logf("%d images of %d x %d with %d channels: %s: %.2g direct, %.2g Winograd", c.batch, c.size, c.size, c.channels, name, least, most)
			if least > 1e-6 || most > 10*least {
				t.Errorf("%d channels at %d pixels: %s: errors %.2g and %.2g, want at most 1e-6, and ten times the first", c.channels, c.size, name, least, most)
			}
		}
	}
}

func difference(t *testing.T, got, want backend.Program, name string) float64 {
	t.Helper()
	g, err := got.Output(name)
	must(t, err)
	w, err := want.Output(name)
	must(t, err)
	var diff, norm float64
	for i := range w {
		d := float64(g[i]) - float64(w[i])
		diff += d * d
		norm += float64(w[i]) * float64(w[i])
	}
	return math.Sqrt(diff / norm)
}

func TestTrainingStepsDoNotAllocate(t *testing.T) {
	prog, _ := compile(t, Backend{}, backend.Options{Threads: 1}, convNet(1, 8, 16, true))
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
		n := testing.AllocsPerRun(50, func() {
			must(t, prog.Forward(ctx, args))
			must(t, prog.Backward(ctx, args))
		})
		if n != 0 {
			t.Errorf("%s context: a step allocates %v times, want 0", name, n)
		}
	}
}

// threads counts the process's threads, -1 where the system does not say.
func threads() int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return -1
	}
	return len(tasks)
}

func TestClosedExecutorsLeaveNoThreads(t *testing.T) {
	if threads() < 0 {
		t.Skip("skipped: the system does not list threads under /proc/self/task")
	}
	cycle := func() {
		e, err := Backend{}.NewExecutor(backend.Options{Threads: 4})
		must(t, err)
		must(t, e.Close())
		must(t, e.Close())
	}
	cycle()
	before := threads()
	for range 50 {
		cycle()
	}
	if after := threads(); after > before+4 { // the Go runtime may start some of its own
		t.Errorf("50 executors of 4 threads left %d threads, want %d or few more", after, before)
	}
}

// A product of two numbers near the smallest float32 is denormal: zero on the executor's threads, not on a caller's.
func TestDenormalsAreFlushedOnTheExecutorOnly(t *testing.T) {
	prog, s := compile(t, Backend{}, backend.Options{Threads: 2}, convNet(2, 8, 16, false))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := make([]float32, 16*9*16)
	for i := range w {
		w[i] = 1e-20
	}
	must(t, s.Write("w", w))
	x, err := prog.InputF32("x")
	must(t, err)
	for i := range x {
		x[i] = 1e-20
	}
	must(t, prog.Forward(context.Background(), args))
	y, err := prog.Output("y")
	must(t, err)
	if i := slices.IndexFunc(y, func(v float32) bool { return v != 0 }); i >= 0 {
		t.Errorf("y[%d]: got %g, want 0", i, y[i])
	}
	if x[0]*w[0] == 0 {
		t.Error("the caller's thread flushes denormals to zero")
	}
}

func TestSetupRunsOnlyAfterTheStoreChanged(t *testing.T) {
	prog, s := compile(t, Backend{}, backend.Options{Threads: 1}, convNet(1, 8, 16, false))
	p := prog.(*program)
	must(t, prog.Forward(context.Background(), args))
	packed := p.packed
	must(t, prog.Forward(context.Background(), args))
	must(t, prog.Backward(context.Background(), args)) // no Update steps
	if p.packed != packed || p.store.version.Load() != packed {
		t.Errorf("without a change: packed version %d, store's %d, want %d", p.packed, p.store.version.Load(), packed)
	}
	must(t, s.Write("w", make([]float32, 16*9*16)))
	must(t, prog.Forward(context.Background(), args))
	if p.packed == packed {
		t.Error("Forward after a Write did not pack the weights again")
	}
}

func TestProfileSumsTheTimeOfEachStep(t *testing.T) {
	prog, _ := compile(t, Backend{}, backend.Options{Threads: 1}, convNet(2, 16, 32, false))
	p := prog.(*program)
	p.Profile(true)
	must(t, prog.Forward(context.Background(), args))
	ms := p.Profile(false)
	must(t, prog.Backward(context.Background(), args))
	if len(ms) != 3 || ms[0] <= 0 || ms[2] != 0 { // the second packs its weights in Setup
		t.Errorf("after Forward: got %v, want time in the first of three steps and none in the last", ms)
	}
	if again := p.Profile(false); !slices.Equal(again, ms) {
		t.Errorf("stopped: got %v, want %v as before", again, ms)
	}
}

func TestTooLargeProgramsAndBadOptionsAreErrors(t *testing.T) {
	_, err := Backend{}.NewExecutor(backend.Options{Threads: -1})
	if errs.KindOf(err) != errs.Invalid {
		t.Errorf("-1 threads: got %v, want an Invalid error", err)
	}
	_, err = Backend{}.NewStore([]ir.Tensor{{Name: "w", Shape: ir.Shape{1 << 30, 1 << 28}, Role: ir.Param}})
	if errs.KindOf(err) != errs.OutOfMemory {
		t.Errorf("an exabyte of weights: got %v, want an OutOfMemory error", err)
	}
	prog, _ := compile(t, Backend{}, backend.Options{Threads: 1}, convNet(1, 8, 16, false))
	must(t, prog.Close())
	if err := prog.Forward(context.Background(), args); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Forward of a closed program: got %v, want an Invalid error", err)
	}
	b := Backend{}
	e, err := b.NewExecutor(backend.Options{Threads: 1})
	must(t, err)
	must(t, e.Close())
	s, err := b.NewStore(nil)
	must(t, err)
	if _, err := e.Compile(&plan.Plan{}, s); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Compile on a closed executor: got %v, want an Invalid error", err)
	}
	if k := prog.Kernels(); k != nil {
		t.Errorf("Kernels of a closed program: got %v, want none", k)
	}
}
