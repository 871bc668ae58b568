package onednn

import (
	"context"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

func TestInt8Conformance(t *testing.T) { backendtest.RunInt8(t, Backend{Int8: true}) }

// Without VNNI pairs of products are added in 16 bits, which overflow with weights of 8 bits: the sums of large products would differ.
func TestInt8ConformsOnLesserProcessors(t *testing.T) {
	if os.Getenv("ONEDNN_MAX_CPU_ISA") != "" {
		t.Skip("skipped: this is the process with a limit")
	}
	for _, isa := range []string{"AVX512_CORE", "AVX2", "SSE41"} {
		t.Run(isa, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^TestInt8Conformance$")
			cmd.Env = append(os.Environ(), "ONEDNN_MAX_CPU_ISA="+isa)
			out, err := cmd.CombinedOutput()
			if passed := strings.Count(string(out), "--- PASS: TestInt8Conformance/"); err != nil || passed < 71 {
				t.Errorf("%d cases passed, want 71: %v\n%s", passed, err, out)
			}
		})
	}
}

// stemmed is pixels, normalised, convolved with w0 to 64 channels and pooled, and a 1×1 convolution that copies them. The maximum's steps are of 0.2.
func stemmed(t *testing.T, change func(p *ir.Program)) (*program, backend.Store) {
	t.Helper()
	small := ir.Shape{2, 2, 3, 64}
	p := &ir.Program{Tensors: []ir.Tensor{{Name: "pixels", Shape: ir.Shape{2, 8, 10, 3}, DType: ir.U8, Role: ir.Input},
		{Name: "w0", Shape: ir.Shape{64, 3, 3, 3}, Role: ir.Param}, {Name: "w1", Shape: ir.Shape{64, 1, 1, 64}, Role: ir.Param}, {Shape: ir.Shape{2, 8, 10, 3}},
		{Shape: ir.Shape{2, 4, 5, 64}}, {Shape: ir.Shape{2, 4, 5, 64}}, {Shape: small}, {Name: "y", Shape: small, Output: true}}}
	p.Steps = []ir.Step{
		{Kind: ir.Normalize, Attrs: ir.Attrs{Std: [3]float32{1, 1, 1}}, Phase: ir.Forward, In: []ir.TensorID{0}, Out: []ir.TensorID{3}},
		{Kind: ir.Conv, Attrs: ir.Attrs{Stride: 2, Pad: 1}, Phase: ir.Forward, In: []ir.TensorID{3, 1}, Out: []ir.TensorID{4}},
		{Kind: ir.ReLU, Phase: ir.Forward, In: []ir.TensorID{4}, Out: []ir.TensorID{5}},
		{Kind: ir.MaxPool, Attrs: ir.Attrs{Kernel: 3, Stride: 2, Pad: 1}, Phase: ir.Forward, In: []ir.TensorID{5}, Out: []ir.TensorID{6, ir.None}},
		{Kind: ir.Conv, Attrs: ir.Attrs{Stride: 1}, Phase: ir.Forward, In: []ir.TensorID{6, 2}, Out: []ir.TensorID{7}},
	}
	change(p)
	return compileInt8(t, p, map[string]float32{"w0": 51, "w1": 51})
}

// white is the first number of what comes of white pixels and weights of `by` everywhere: 27 of them.
func white(t *testing.T, p *program, s backend.Store, by float32) float64 {
	t.Helper()
	w0, w1 := make([]float32, 64*27), make([]float32, 64*64)
	for i := range w0 {
		w0[i] = by
	}
	for i := range 64 {
		w1[65*i] = 1
	}
	must(t, s.Write("w0", w0))
	must(t, s.Write("w1", w1))
	pixels, err := p.Input("pixels")
	must(t, err)
	for i := range pixels {
		pixels[i] = 255
	}
	must(t, p.Forward(context.Background(), nil))
	y, err := p.Output("y")
	must(t, err)
	return float64(y[0])
}

func TestInt8StemRoundsToStepsOfTheRangeClampsAtItAndPacksAnew(t *testing.T) {
	p, s := stemmed(t, func(*ir.Program) {})
	if p.eight.stem == nil {
		t.Fatal("the stem is computed in float32")
	}
	for value, want := range map[float32]float64{0: 0, 0.2: 0.2, 3.31: 3.4, 3.29: 3.2, 51: 51, 60: 51, -5: 0, 1e30: 51} {
		if got := white(t, p, s, value/27); math.Abs(got-want) > 1e-4 {
			t.Errorf("%v: got %v, want %v", value, got, want)
		}
	}
	if n := testing.AllocsPerRun(50, func() { must(t, p.Forward(context.Background(), args)) }); n != 0 {
		t.Errorf("a run allocates %v times, want 0", n)
	}
}

func TestInt8StemIsLeftToFloat32WhereItDoesNotFit(t *testing.T) {
	for name, change := range map[string]func(p *ir.Program){
		"the convolution's map is an output": func(p *ir.Program) { p.Tensors[5].Name, p.Tensors[5].Output = "between", true },
		"means beyond white":                 func(p *ir.Program) { p.Steps[0].Attrs.Mean[1] = 1.5 },
		"another pooling": func(p *ir.Program) {
			p.Steps[3].Attrs.Kernel, p.Steps[3].Attrs.Pad = 2, 0
			p.Tensors[6].Shape, p.Tensors[7].Shape = ir.Shape{2, 2, 2, 64}, ir.Shape{2, 2, 2, 64}
		},
		"the maximum is an output": func(p *ir.Program) { p.Tensors[6].Name, p.Tensors[6].Output = "between", true },
	} {
		if p, _ := stemmed(t, change); p.eight.stem != nil {
			t.Errorf("%s: the stem is computed in integers", name)
		}
	}
}

// twice is ReLU(conv(x, w0)), which is float32, and a second convolution of 8-bit integers behind it, both of one channel's value times a weight.
func twice(t *testing.T, ranges map[string]float32) (*program, backend.Store) {
	t.Helper()
	shape, w := ir.Shape{1, 2, 2, 16}, ir.Shape{16, 1, 1, 16}
	p := &ir.Program{Tensors: []ir.Tensor{{Name: "x", Shape: shape, Role: ir.Input}, {Name: "w0", Shape: w, Role: ir.Param}, {Name: "w1", Shape: w, Role: ir.Param},
		{Shape: shape}, {Shape: shape}, {Name: "y", Shape: shape, Output: true}}}
	p.Steps = []ir.Step{
		{Kind: ir.Conv, Attrs: ir.Attrs{Stride: 1}, Phase: ir.Forward, In: []ir.TensorID{0, 1}, Out: []ir.TensorID{3}},
		{Kind: ir.ReLU, Phase: ir.Forward, In: []ir.TensorID{3}, Out: []ir.TensorID{4}},
		{Kind: ir.Conv, Attrs: ir.Attrs{Stride: 1}, Phase: ir.Forward, In: []ir.TensorID{4, 2}, Out: []ir.TensorID{5}},
	}
	prog, s := compileInt8(t, p, ranges)
	must(t, s.Write("w0", identity(1)))
	must(t, s.Write("w1", identity(1)))
	return prog, s
}

// compileInt8 compiles a program for one thread, with a store for its parameters.
func compileInt8(t *testing.T, p *ir.Program, ranges map[string]float32) (*program, backend.Store) {
	t.Helper()
	b := Backend{Int8: true}
	o := b.PlanOptions()
	o.Ranges = ranges
	pl, err := plan.Build(p, o)
	must(t, err)
	var params []ir.Tensor
	for _, tensor := range p.Tensors {
		if tensor.Role == ir.Param {
			params = append(params, tensor)
		}
	}
	s, err := b.NewStore(params)
	must(t, err)
	e, err := b.NewExecutor(backend.Options{Threads: 1})
	must(t, err)
	prog, err := e.Compile(pl, s)
	must(t, err)
	t.Cleanup(func() {
		must(t, prog.Close())
		must(t, e.Close())
		must(t, s.Close())
	})
	return prog.(*program), s
}

// identity is a 1×1 convolution of 16 channels that multiplies by a number.
func identity(by float32) []float32 {
	w := make([]float32, 16*16)
	for i := range 16 {
		w[17*i] = by
	}
	return w
}

// through is what comes of a value.
func through(t *testing.T, p *program, value float32) float64 {
	t.Helper()
	x, err := p.InputF32("x")
	must(t, err)
	for i := range x {
		x[i] = value
	}
	must(t, p.Forward(context.Background(), nil))
	y, err := p.Output("y")
	must(t, err)
	return float64(y[0])
}

func TestInt8RoundsToStepsOfTheRangeAndClampsAtIt(t *testing.T) {
	p, _ := twice(t, map[string]float32{"w0": 51, "w1": 1}) // steps of 0.2; the second map is float32
	for value, want := range map[float32]float64{0: 0, 0.2: 0.2, 3.31: 3.4, 3.29: 3.2, 51: 51, 60: 51, -5: 0, 1e30: 51} {
		if got := through(t, p, value); math.Abs(got-want) > 1e-4 {
			t.Errorf("%v: got %v, want %v", value, got, want)
		}
	}
	if k := p.Kernels(); !p.eight.conv[1] || p.eight.conv[0] || !strings.Contains(k[1], "Conv ") {
		t.Errorf("got the kernels %v, want the second convolution, and not the first, in 8 bits", k)
	}
}

func TestInt8OfADeadMapIsStillANumber(t *testing.T) {
	for _, r := range []float32{0, 1e-44, 1e-30} {
		p, _ := twice(t, map[string]float32{"w0": r, "w1": r})
		if got := through(t, p, 0); got != 0 {
			t.Errorf("range %v: got %v, want 0", r, got)
		}
	}
	p, s := twice(t, map[string]float32{"w0": 255, "w1": 255})
	must(t, s.Write("w1", make([]float32, 16*16)))
	if got := through(t, p, 7); got != 0 {
		t.Errorf("weights of 0: got %v, want 0", got)
	}
}

func TestInt8PacksWeightsAnewWhenTheStoreChanged(t *testing.T) {
	p, s := twice(t, map[string]float32{"w0": 255, "w1": 255})
	if got := through(t, p, 3); math.Abs(got-3) > 1e-5 {
		t.Errorf("got %v, want 3", got)
	}
	must(t, s.Write("w1", identity(-2.5)))
	if got := through(t, p, 3); math.Abs(got+7.5) > 1e-5 {
		t.Errorf("after other weights were written: got %v, want -7.5", got)
	}
}

func TestInt8DoesNotAllocate(t *testing.T) {
	p, _ := twice(t, map[string]float32{"w0": 255, "w1": 255})
	through(t, p, 1)
	if n := testing.AllocsPerRun(50, func() { must(t, p.Forward(context.Background(), args)) }); n != 0 {
		t.Errorf("a run allocates %v times, want 0", n)
	}
}

func TestInt8RefusesToTrain(t *testing.T) {
	b := Backend{Int8: true}
	p := convNet(1, 8, 16, true)
	o := b.PlanOptions()
	o.Ranges = map[string]float32{"w": 1}
	pl, err := plan.Build(p, o)
	must(t, err)
	s, err := b.NewStore([]ir.Tensor{p.Tensors[1], p.Tensors[6], p.Tensors[7]})
	must(t, err)
	e, err := b.NewExecutor(backend.Options{Threads: 1})
	must(t, err)
	if _, err := e.Compile(pl, s); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("got %v, want an Unsupported error", err)
	}
	must(t, e.Close())
	must(t, s.Close())
}
