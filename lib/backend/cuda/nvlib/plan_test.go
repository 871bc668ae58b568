package nvlib

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

const limit = 1 << 26 // bytes of workspace, less than the emulated engine 60 wants

// shapes are odd in every way: one of each, remainders of strides, kernels of even size, channels that fill no vector.
var shapes = []Conv{
	{N: 1, H: 1, W: 1, C: 1, K: 1, Kernel: 1, Stride: 1},
	{N: 2, H: 7, W: 5, C: 3, K: 5, Kernel: 3, Stride: 2, Pad: 1},
	{N: 3, H: 6, W: 9, C: 8, K: 16, Kernel: 1, Stride: 1},
	{N: 2, H: 9, W: 8, C: 24, K: 8, Kernel: 3, Stride: 1, Pad: 1},
	{N: 1, H: 15, W: 13, C: 4, K: 12, Kernel: 7, Stride: 2, Pad: 3},
	{N: 2, H: 6, W: 5, C: 8, K: 8, Kernel: 1, Stride: 2},
	{N: 1, H: 8, W: 7, C: 2, K: 3, Kernel: 2, Stride: 2},
	{N: 1, H: 4, W: 4, C: 17, K: 2, Kernel: 4, Stride: 1},
}

// run computes a convolution with a plan and returns what it has written.
func (g *gpu) run(p *Plan, c Conv, t tensors) []float32 {
	g.t.Helper()
	nx, nw, ny := c.counts()
	o := Operands{}
	put := func(values []float32, count int, written bool) uint64 {
		if written {
			return g.alloc(count * size(c.Type))
		}
		return g.upload(c.Type, values)
	}
	o.X, o.W, o.Y = put(t.x, nx, c.Op == GradData), put(t.w, nw, c.Op == GradWeights), put(t.y, ny, c.Op == Forward)
	if c.Bias {
		o.Bias = g.upload(F32, t.bias)
	}
	if c.Residual {
		o.Residual = g.upload(c.Type, t.residual)
	}
	ok(g.t, p.Run(o, g.alloc(int(p.Workspace()))))
	switch c.Op {
	case GradData:
		return g.download(o.X, c.Type, nx)
	case GradWeights:
		return g.download(o.W, c.Type, nw)
	}
	return g.download(o.Y, c.Type, ny)
}

func randomTensors(r *rand.Rand, c Conv) tensors {
	nx, nw, ny := c.counts()
	return tensors{random(r, c.Type, nx), random(r, c.Type, nw), random(r, c.Type, ny), random(r, F32, c.K), random(r, c.Type, ny)}
}

// compare holds results against the reference: float32 sums, inputs of 11 bits with TF32, and the rounding of the output to its type.
func compare(t *testing.T, what string, c Conv, got []float32, want []sum) {
	t.Helper()
	of := 4e-6 // a few roundings of float32; cuDNN's Winograd kernels lose some more
	if c.TF32 && c.Type == F32 {
		of = 1.0 / 1024
	}
	for i := range got {
		allowed := of*want[i].size + 1e-30
		if c.Type == BF16 {
			allowed += max(want[i].value, -want[i].value) / 256
		}
		if d := float64(got[i]) - want[i].value; !(d <= allowed && -d <= allowed) {
			t.Errorf("%s: element %d of %d: got %g, want %g within %g", what, i, len(got), got[i], want[i].value, allowed)
			return
		}
	}
}

func closeAll(plans []*Plan) {
	for _, p := range plans {
		p.Close()
	}
}

func TestEveryOperationMatchesPlainLoops(t *testing.T) {
	g, r := newGPU(t), newRand()
	for _, shape := range shapes {
		for op := Forward; op <= GradWeights; op++ {
			for _, how := range []Conv{{Type: F32}, {Type: F32, TF32: true}, {Type: BF16}} {
				c := shape
				c.Op, c.Type, c.TF32 = op, how.Type, how.TF32
				in := randomTensors(r, c)
				want := c.reference(in)
				plans := value(g.handles.Plans(c, 8, limit))(t)
				if len(plans) == 0 {
					t.Errorf("%+v: no plan", c)
				}
				for _, p := range plans {
					compare(t, fmt.Sprintf("%+v with %s", c, p.Name()), c, g.run(p, c, in), want)
				}
				closeAll(plans)
			}
		}
	}
}

func TestFusedConvolutionsMatchPlainLoops(t *testing.T) {
	g, r := newGPU(t), newRand()
	ran := 0
	for _, shape := range []Conv{
		{N: 2, H: 7, W: 5, C: 8, K: 16, Kernel: 3, Stride: 2, Pad: 1},
		{N: 1, H: 5, W: 3, C: 24, K: 8, Kernel: 1, Stride: 1},
	} {
		for fused := 1; fused < 8; fused++ {
			for _, how := range []Conv{{Type: F32}, {Type: F32, TF32: true}, {Type: BF16}} {
				c := shape
				c.Type, c.TF32, c.Deterministic = how.Type, how.TF32, true
				c.Bias, c.Residual, c.ReLU = fused&1 != 0, fused&2 != 0, fused&4 != 0
				in := randomTensors(r, c)
				want := c.reference(in)
				plans := value(g.handles.Plans(c, 8, limit))(t)
				for _, p := range plans {
					compare(t, fmt.Sprintf("%+v with %s", c, p.Name()), c, g.run(p, c, in), want)
					ran++
				}
				closeAll(plans)
			}
		}
	}
	// The doubles have 2 shapes × 7 combinations × 2 types on tensor cores, and one for float32 with everything, with TF32 or without.
	if want := 2*7*2 + 2*2; !emulated.Real() && ran != want {
		t.Errorf("ran %d plans, want %d", ran, want)
	}
}

func TestAResidualMayLieInTheOutputsPlace(t *testing.T) {
	g, r := newGPU(t), newRand()
	c := Conv{Type: BF16, N: 1, H: 6, W: 4, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1, Residual: true, ReLU: true}
	in := randomTensors(r, c)
	plans := value(g.handles.Plans(c, 1, limit))(t)
	if len(plans) == 0 {
		t.Skip("this cuDNN has no plan for a convolution with residual and ReLU")
	}
	defer closeAll(plans)
	y := g.upload(BF16, in.residual)
	ok(t, plans[0].Run(Operands{X: g.upload(BF16, in.x), W: g.upload(BF16, in.w), Y: y, Residual: y}, g.alloc(int(plans[0].Workspace()))))
	compare(t, "in place", c, g.download(y, BF16, len(in.y)), c.reference(in))
}

func names(plans []*Plan) []string {
	var all []string
	for _, p := range plans {
		all = append(all, strings.TrimPrefix(p.Name(), "cudnn engine "))
	}
	return all
}

// The emulated cuDNN has engines of each sort; see its engines_for.
func TestEnginesAreFilteredByWhatTheyCompute(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuDNN has other engines")
	}
	g := newGPU(t)
	c := Conv{N: 1, H: 4, W: 4, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1}
	with := func(change func(*Conv)) Conv {
		d := c
		change(&d)
		return d
	}
	for _, test := range []struct {
		name  string
		conv  Conv
		most  int
		limit int64
		want  []string
	}{
		{"float32 has neither TF32, nor half inputs, nor an order of its own, nor what does not fit", c, 8, limit,
			[]string{"20 k2=3 k13=1", "20 k2=5 k13=1", "30", "0"}},
		{"deterministic leaves out 30", with(func(c *Conv) { c.Deterministic = true }), 8, limit, []string{"20 k2=3 k13=1", "20 k2=5 k13=1", "0"}},
		{"TF32 when asked for, but still no half inputs", with(func(c *Conv) { c.TF32 = true }), 8, limit,
			[]string{"10 k2=3", "20 k2=3 k13=1", "20 k2=5 k13=1", "30", "0"}},
		{"bfloat16 uses tensor cores, but does not sum in bfloat16", with(func(c *Conv) { c.Type = BF16 }), 8, limit,
			[]string{"10 k2=3", "20 k2=3 k13=1", "20 k2=5 k13=1", "30", "0"}},
		{"a workspace of 1 TB where there is one", with(func(c *Conv) { c.Deterministic = true }), 8, 1 << 41,
			[]string{"60", "20 k2=3 k13=1", "20 k2=5 k13=1", "0"}},
		{"no workspace", with(func(c *Conv) { c.Deterministic = true }), 8, 0, []string{"20 k2=5 k13=1", "0"}},
		{"the first two", c, 2, limit, []string{"20 k2=3 k13=1", "20 k2=5 k13=1"}},
		{"none wanted", c, 0, limit, nil},
		{"nothing is fused for float32 with a bias alone", with(func(c *Conv) { c.Bias = true }), 8, limit, nil},
		{"nothing is fused for 3 channels of bfloat16", with(func(c *Conv) { c.C, c.Type, c.ReLU = 3, BF16, true }), 8, limit, nil},
		{"float32 with everything is ready-made", with(func(c *Conv) { c.Bias, c.Residual, c.ReLU = true, true, true }), 8, limit, []string{"70"}},
	} {
		plans, err := g.handles.Plans(test.conv, test.most, test.limit)
		if err != nil || !slices.Equal(names(plans), test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, names(plans), err, test.want)
		}
		for _, p := range plans {
			if p.Workspace() < 0 || p.Workspace() > test.limit {
				t.Errorf("%s: %s wants %d bytes of at most %d", test.name, p.Name(), p.Workspace(), test.limit)
			}
		}
		closeAll(plans)
	}
}

func TestHeuristicsThatFailAreAnErrorUnlessNothingIsSupported(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuDNN does not fail on demand")
	}
	g := newGPU(t)
	t.Setenv("DSL_EMULATED_HEURISTICS", "3000")
	if plans, err := g.handles.Plans(shapes[1], 4, limit); err != nil || len(plans) != 0 {
		t.Errorf("not supported: got %v, %v, want an empty list", plans, err)
	}
	t.Setenv("DSL_EMULATED_HEURISTICS", "4000")
	_, err := g.handles.Plans(shapes[1], 4, limit)
	if want := "cudnn: asking for engines: CUDNN_STATUS_"; errs.KindOf(err) != errs.Device || !strings.Contains(err.Error(), want) {
		t.Errorf("an internal error: got %v, want a Device error with %q", err, want)
	}
	t.Setenv("DSL_EMULATED_HEURISTICS", "4004")
	if _, err := g.handles.Plans(shapes[1], 4, limit); errs.KindOf(err) != errs.OutOfMemory {
		t.Errorf("no memory: got %v, want an OutOfMemory error", err)
	}
	misuse(t, "DSL_EMULATED_HEURISTICS")
}

func TestADeterministicPlanRepeatsItsBits(t *testing.T) {
	g, r := newGPU(t), newRand()
	for op := Forward; op <= GradWeights; op++ {
		c := Conv{Op: op, N: 2, H: 9, W: 9, C: 16, K: 16, Kernel: 3, Stride: 1, Pad: 1, Deterministic: true}
		in := randomTensors(r, c)
		plans := value(g.handles.Plans(c, 8, limit))(t)
		for _, p := range plans {
			first := g.run(p, c, in)
			for range 2 {
				if again := g.run(p, c, in); !slices.Equal(first, again) {
					t.Errorf("%+v with %s: another result in another run", c, p.Name())
				}
			}
		}
		closeAll(plans)
	}
}

func TestImpossibleConvolutionsAreInvalid(t *testing.T) {
	g := newGPU(t)
	for name, c := range map[string]Conv{
		"no images":                        {H: 3, W: 3, C: 1, K: 1, Kernel: 1, Stride: 1},
		"no stride":                        {N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 1},
		"a negative padding":               {N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 1, Stride: 1, Pad: -1},
		"a kernel larger than the image":   {N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 4, Stride: 1},
		"a gradient with a fused ReLU":     {Op: GradData, N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 1, Stride: 1, ReLU: true},
		"an operation that does not exist": {Op: GradWeights + 1, N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 1, Stride: 1},
		"a type that does not exist":       {Type: BF16 + 1, N: 1, H: 3, W: 3, C: 1, K: 1, Kernel: 1, Stride: 1},
	} {
		if plans, err := g.handles.Plans(c, 4, limit); errs.KindOf(err) != errs.Invalid || plans != nil {
			t.Errorf("%s: got %v, %v, want an Invalid error", name, plans, err)
		}
	}
}

func TestOperandsThatCannotBeUsedAreInvalid(t *testing.T) {
	g := newGPU(t)
	c := Conv{Type: BF16, N: 1, H: 4, W: 4, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1}
	plans := value(g.handles.Plans(c, 8, limit))(t)
	at := g.alloc(1 << 16)
	good := Operands{X: at, W: at + 8192, Y: at + 16384}
	for name, o := range map[string]Operands{"no X": {W: at, Y: at}, "no W": {X: at, Y: at}, "no Y": {X: at, W: at},
		"X between two multiples of 16": {X: at + 8, W: at + 8192, Y: at + 16384}} {
		if err := plans[0].Run(o, 0); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
	for _, p := range plans {
		if p.Workspace() == 0 {
			ok(t, p.Run(good, 0))
		} else if err := p.Run(good, 0); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s without its workspace: got %v, want an Invalid error", p.Name(), err)
		}
		p.Close()
		p.Close()
		if err := p.Run(good, 0); errs.KindOf(err) != errs.Invalid {
			t.Errorf("a closed plan: got %v, want an Invalid error", err)
		}
	}
	c.Bias, c.Residual = true, true
	for _, p := range value(g.handles.Plans(c, 1, limit))(t) {
		for name, o := range map[string]Operands{"no bias": {X: at, W: at, Y: at, Residual: at}, "no residual": {X: at, W: at, Y: at, Bias: at}} {
			if err := p.Run(o, at); errs.KindOf(err) != errs.Invalid {
				t.Errorf("%s: got %v, want an Invalid error", name, err)
			}
		}
		p.Close()
	}
}

// misuse expects that the doubles have noted something that holds a text.
func misuse(t *testing.T, text string) {
	t.Helper()
	if noted := strings.Join(emulated.Problems(), "\n"); !strings.Contains(noted, text) {
		t.Errorf("the doubles noted %q, want something with %q", noted, text)
	}
}

func TestWhatCuDNNRefusesIsADeviceErrorInItsWords(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuDNN does not look at addresses")
	}
	g := newGPU(t)
	c := Conv{N: 1, H: 4, W: 4, C: 8, K: 8, Kernel: 3, Stride: 1, Pad: 1}
	plans := value(g.handles.Plans(c, 8, limit))(t)
	defer closeAll(plans)
	at, short := g.alloc(1<<16), g.alloc(16)
	for _, test := range []struct {
		name, want string
		o          Operands
		workspace  uint64
	}{
		{"memory that is too small", "does not lie inside one allocation", Operands{X: at, W: short, Y: at + 16384}, at},
		{"an output over an input", "the output lies over", Operands{X: at, W: at + 8192, Y: at}, at + 32768},
		{"a workspace that is too small", "the workspace has less than", Operands{X: at, W: at + 8192, Y: at + 20480}, short},
	} {
		err := plans[0].Run(test.o, test.workspace)
		if errs.KindOf(err) != errs.Device || !strings.Contains(fmt.Sprint(err), test.want) ||
			!strings.Contains(fmt.Sprint(err), "cudnn engine 20 k2=3 k13=1: CUDNN_STATUS_") {
			t.Errorf("%s: got %v, want a Device error with %q", test.name, err, test.want)
		}
		misuse(t, test.want)
	}
}

func TestARunAllocatesNothing(t *testing.T) {
	g := newGPU(t)
	c := Conv{N: 1, H: 2, W: 2, C: 8, K: 8, Kernel: 1, Stride: 1}
	plans := value(g.handles.Plans(c, 1, limit))(t)
	defer closeAll(plans)
	at := g.alloc(1 << 14)
	o, workspace := Operands{X: at, W: at + 4096, Y: at + 8192}, g.alloc(int(plans[0].Workspace()))
	if n := testing.AllocsPerRun(50, func() { ok(t, plans[0].Run(o, workspace)) }); n != 0 {
		t.Errorf("Run allocates %v times, want 0", n)
	}
	ok(t, g.stream.Synchronize())
}

func TestACapturedConvolutionReadsItsOperandsAnew(t *testing.T) {
	g, r := newGPU(t), newRand()
	c := Conv{Type: BF16, N: 2, H: 5, W: 5, C: 8, K: 8, Kernel: 3, Stride: 2, Pad: 1}
	in := randomTensors(r, c)
	plans := value(g.handles.Plans(c, 2, limit))(t)
	defer closeAll(plans)
	for _, p := range plans {
		o := Operands{X: g.upload(BF16, in.x), W: g.upload(BF16, in.w), Y: g.alloc(2 * len(in.y))}
		workspace := g.alloc(int(p.Workspace()))
		ok(t, p.Run(o, workspace))
		ok(t, g.stream.BeginCapture())
		ok(t, p.Run(o, workspace))
		graph := value(g.stream.EndCapture())(t)
		for range 2 {
			in.x = random(r, BF16, len(in.x))
			ok(t, g.stream.Synchronize())
			g.write(o.X, BF16, in.x)
			ok(t, graph.Launch(g.stream))
			compare(t, p.Name(), c, g.download(o.Y, BF16, len(in.y)), c.reference(in))
		}
		ok(t, graph.Close())
	}
}

func TestAPlanIsRunBeforeItIsCaptured(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: whether a real cuDNN minds depends on the engine")
	}
	g := newGPU(t)
	c := Conv{N: 1, H: 2, W: 2, C: 8, K: 8, Kernel: 1, Stride: 1}
	plans := value(g.handles.Plans(c, 1, limit))(t)
	defer closeAll(plans)
	at, workspace := g.alloc(1<<14), g.alloc(int(plans[0].Workspace()))
	ok(t, g.stream.BeginCapture())
	err := plans[0].Run(Operands{X: at, W: at + 4096, Y: at + 8192}, workspace)
	if errs.KindOf(err) != errs.Device {
		t.Errorf("got %v, want a Device error", err)
	}
	misuse(t, "captured before it has ever run")
	if graph, err := g.stream.EndCapture(); err == nil {
		ok(t, graph.Close())
	}
}
