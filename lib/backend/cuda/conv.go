package cuda

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// convolution is a Conv, ConvGradData or ConvGradWeights step as its kernels need it.
type convolution struct {
	phase                   ir.Phase
	shape                   nvlib.Conv // without fused parts
	x, w, y, bias, residual uint64     // addresses, 0 for none
	relu                    bool
	rows                    int   // positions of y: N·H'·W'
	gradBytes               int64 // of a weight gradient that is not computed in float32, which lies in scratch memory
}

// candidate is one way to compute a convolution: with cuDNN's plan, nil for our direct kernel. fused plans add bias, residual and ReLU themselves.
type candidate struct {
	plan  *nvlib.Plan
	fused bool
	name  string

	key   nvlib.Conv // of a chosen one
	users int        // programs' convolutions that it computes
}

const (
	tunePlans        = 3       // plans of each sort that are timed
	tuneRuns         = 3       // runs of each, of which the fastest counts
	maxWorkspace     = 1 << 30 // bytes that a plan may ask for
	leastTuningBytes = 1 << 20
	directKernel     = "direct" // the name of our own kernel
	fusedEnding      = " fused" // of a plan with bias, residual and ReLU
)

func (p *program) conv(i int, s *ir.Step) error {
	if err := p.packWeights(s); err != nil {
		return err
	}
	c := p.convolution(s)
	if s.Kind == ir.ConvGradWeights {
		if s.Out[1] != ir.None {
			if err := p.channelSum(c.phase, c.y, int(p.ex.elementBytes()), p.ptr(s.Out[1]), c.rows, c.shape.K); err != nil {
				return err
			}
		}
		if s.Out[0] == ir.None {
			return nil
		}
	}
	best, err := p.choose(c)
	if err != nil {
		return err
	}
	p.kernels[i] = fmt.Sprintf("%v %s", s.Kind, best.name)
	if err := p.convolve(c, best); err != nil || best.fused {
		return err
	}
	return p.finish(c, s)
}

// finish adds what a plan leaves to do: bias, residual and ReLU, or the weight gradient's way to float32.
func (p *program) finish(c *convolution, s *ir.Step) error {
	switch {
	case s.Kind == ir.Conv && c.needsEpilogue():
		return p.typed(c.phase, "epilogue", p.rows(c.rows, c.shape.K), c.epilogueArgs()...)
	case s.Kind == ir.ConvGradWeights && c.gradBytes > 0:
		dw, rows, channels := p.ptr(s.Out[0]), c.shape.K*c.shape.Kernel*c.shape.Kernel, p.shape(s.Out[0])[3]
		return p.kernel(c.phase, kernels.Name("unpack_weights_grad", int(p.ex.elementBytes())), p.items(rows*channels), func() []uint64 {
			return append([]uint64{uint64(p.scratch), dw}, numbers(rows, channels, c.shape.C)...)
		})
	}
	return nil
}

func (p *program) convolution(s *ir.Step) *convolution {
	a := &s.Attrs
	c := &convolution{phase: s.Phase, relu: a.ReLU}
	var x, y ir.Shape
	stored := 0
	switch s.Kind {
	case ir.Conv:
		c.shape.Op = nvlib.Forward
		x, y, stored = p.shape(s.In[0]), p.shape(s.Out[0]), p.channels[s.In[0]]
		c.x, c.w, c.y = p.ptr(s.In[0]), p.weights(s.In[1], stored), p.ptr(s.Out[0])
		if a.Bias {
			c.bias = p.ptr(s.In[2])
		}
		if a.Residual {
			c.residual = p.ptr(s.In[len(s.In)-1])
		}
		c.shape.Kernel = p.shape(s.In[1])[1]
	case ir.ConvGradData:
		c.shape.Op = nvlib.GradData
		x, y, stored = a.In[:], p.shape(s.In[1]), a.In[3]
		c.x, c.w, c.y = p.ptr(s.Out[0]), p.weights(s.In[0], stored), p.ptr(s.In[1])
		c.shape.Kernel = p.shape(s.In[0])[1]
	default:
		c.shape.Op = nvlib.GradWeights
		x, y, stored = p.shape(s.In[0]), p.shape(s.In[1]), p.channels[s.In[0]]
		c.x, c.w, c.y = p.ptr(s.In[0]), p.ptr(s.Out[0]), p.ptr(s.In[1])
		c.shape.Kernel = a.Kernel
		if p.ex.elementBytes() != 4 {
			c.gradBytes = int64(y[3]*a.Kernel*a.Kernel*stored) * p.ex.elementBytes()
		}
	}
	c.shape.Type, c.shape.TF32, c.shape.Deterministic = p.ex.convType(), p.ex.precision == backend.TF32, !p.ex.nondeterministic
	c.shape.N, c.shape.H, c.shape.W, c.shape.C, c.shape.K = x[0], x[1], x[2], stored, y[3]
	c.shape.Stride, c.shape.Pad = a.Stride, a.Pad
	c.rows = y[0] * y[1] * y[2]
	return c
}

// weights is where a convolution finds its weights in the precision's type: where they were computed, or a copy of a parameter that Setup makes.
func (p *program) weights(id ir.TensorID, channels int) uint64 {
	t := &p.plan.Tensors[id]
	if t.Role != ir.Param || p.ex.elementBytes() == 4 {
		return p.ptr(id)
	}
	return uint64(p.copies[packedKey{id, channels}])
}

// packedKey names a copy of a parameter with so many stored channels.
type packedKey struct {
	id       ir.TensorID
	channels int
}

// packWeights adds the copies of parameters that convolutions read in another type.
func (p *program) packWeights(s *ir.Step) error {
	var k packedKey
	switch s.Kind {
	case ir.Conv:
		k = packedKey{s.In[1], p.channels[s.In[0]]}
	case ir.ConvGradData:
		k = packedKey{s.In[0], s.Attrs.In[3]}
	default:
		return nil
	}
	if p.plan.Tensors[k.id].Role != ir.Param || p.ex.elementBytes() == 4 || p.copies[k] != 0 {
		return nil
	}
	w := p.shape(k.id)
	at, err := p.alloc(int64(w[0]*w[1]*w[2]*k.channels) * p.ex.elementBytes())
	if err != nil {
		return err
	}
	p.copies[k] = at
	return p.pack(ir.Setup, k.id, 0, 0, 0, uint64(at), k.channels)
}

// choose finds the fastest way, or the one that was found before in this process, so that equal programs compute equal bits. The executor keeps its
// plan for all convolutions of that shape.
func (p *program) choose(c *convolution) (*candidate, error) {
	key := c.shape
	key.Bias, key.Residual, key.ReLU = c.bias != 0, c.residual != 0, c.relu
	way := p.ex.chosen[key]
	if way == nil {
		all, err := p.candidates(c)
		if err != nil {
			return nil, err
		}
		best, err := p.best(c, key, all)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		way = &candidate{}
		*way = all[best]
		way.key = key
		closeAll(append(all[:best:best], all[best+1:]...))
		p.ex.chosen[key] = way
	}
	way.users++
	p.ways = append(p.ways, way)
	return way, nil
}

// best is the place of the way that the process has chosen, or chooses now. It has run once then: a plan loads its kernels in its first run, which must
// not be a capture.
func (p *program) best(c *convolution, key nvlib.Conv, all []candidate) (int, error) {
	if at := named(all, p.ex.device.choice(key)); at >= 0 {
		_, err := p.time(c, &all[at], 1, 0)
		return at, err
	}
	at, err := p.fastest(c, all)
	if err != nil {
		return 0, err
	}
	if first := named(all, p.ex.device.choose(key, all[at].name)); first >= 0 && first != at { // another executor was faster
		_, err := p.time(c, &all[first], 1, 0)
		return first, err
	}
	return at, nil
}

func named(all []candidate, name string) int {
	return slices.IndexFunc(all, func(c candidate) bool { return c.name == name })
}

// fastest times the ways. One that cannot run is left out, as cuDNN's plans sometimes say so only then; a batch of one image takes the first that runs,
// since a new size of image must not cost seconds. cuDNN's order counts where the difference is within the noise.
func (p *program) fastest(c *convolution, all []candidate) (int, error) {
	const noise = 0.97
	best, least := -1, math.Inf(1)
	var failure error
	for i := range all {
		ms, err := p.time(c, &all[i], tuneRuns, least)
		if err != nil {
			failure = errors.Join(failure, err)
			continue
		}
		if best < 0 || ms < noise*least {
			best, least = i, ms
		}
		if c.shape.N == 1 {
			break
		}
	}
	if best < 0 {
		return 0, failure
	}
	return best, nil
}

// mostIdlePlans is how many plans an executor keeps for programs to come.
const mostIdlePlans = 256

// release lets go of the ways of a program that is freed.
func (e *executor) release(ways []*candidate) {
	for _, way := range ways {
		way.users--
		if way.users == 0 && len(e.chosen) > mostIdlePlans {
			delete(e.chosen, way.key)
			closeAll([]candidate{*way})
		}
	}
}

func closeAll(all []candidate) {
	for _, c := range all {
		if c.plan != nil {
			c.plan.Close()
		}
	}
}

// candidates are cuDNN's first plans, fused ones first; our direct kernel only where cuDNN has none.
func (p *program) candidates(c *convolution) ([]candidate, error) {
	var all []candidate
	if c.shape.Op == nvlib.Forward && c.needsEpilogue() {
		whole := c.shape
		whole.Bias, whole.Residual, whole.ReLU = c.bias != 0, c.residual != 0, c.relu
		fused, err := p.ex.handles.Plans(whole, tunePlans, maxWorkspace)
		if err != nil && errs.KindOf(err) != errs.Device { // a fused graph that cuDNN cannot make is none
			return nil, err
		}
		for _, pl := range fused {
			all = append(all, candidate{plan: pl, fused: true, name: pl.Name() + fusedEnding})
		}
	}
	plain, err := p.ex.handles.Plans(c.shape, tunePlans, maxWorkspace)
	if err != nil {
		closeAll(all)
		return nil, err
	}
	for _, pl := range plain {
		all = append(all, candidate{plan: pl, name: pl.Name()})
	}
	if len(all) == 0 {
		all = append(all, candidate{name: directKernel})
	}
	return all, nil
}

// time is the milliseconds of the fastest of a few runs, with the pass that the way needs behind it; one whose first run takes three times `least` is
// not run again.
func (p *program) time(c *convolution, way *candidate, runs int, least float64) (float64, error) {
	if way.plan == nil {
		return 0, nil // there is no other
	}
	scratch, err := p.tuningMemory(aligned(c.gradBytes) + way.plan.Workspace())
	if err != nil {
		return 0, err
	}
	run, err := p.whole(c, way, uint64(scratch))
	if err != nil {
		return 0, err
	}
	begin, end, err := twoEvents()
	if err != nil {
		return 0, err
	}
	defer begin.Close()
	defer end.Close()
	fastest := math.Inf(1)
	for range runs {
		ms, err := p.measure(begin, end, run)
		if err != nil {
			return 0, err
		}
		fastest = min(fastest, ms)
		if fastest > 3*least {
			break
		}
	}
	return fastest, nil
}

// tuningMemory is scratch memory to try plans in. Freeing memory makes the driver wait for the whole device, so one piece serves a whole compilation.
func (p *program) tuningMemory(bytes int64) (driver.Ptr, error) {
	if p.tuning != 0 && p.tuningBytes >= bytes {
		return p.tuning, nil
	}
	if err := p.stopTuning(); err != nil {
		return 0, err
	}
	bytes = max(bytes, leastTuningBytes)
	at, err := driver.Alloc(bytes)
	if err != nil {
		return 0, err
	}
	p.tuning, p.tuningBytes = at, bytes
	return at, nil
}

func (p *program) stopTuning() error {
	if p.tuning == 0 {
		return nil
	}
	at := p.tuning
	p.tuning, p.tuningBytes = 0, 0
	return driver.Free(at)
}

// whole is the convolution with its epilogue.
func (p *program) whole(c *convolution, way *candidate, scratch uint64) (op, error) {
	operands, workspace := c.operands(scratch)
	if way.fused || !c.needsEpilogue() {
		return func() error { return way.plan.Run(operands, workspace) }, nil
	}
	f, err := p.ex.device.module.Function(kernels.Name("epilogue", int(p.ex.elementBytes())))
	if err != nil {
		return nil, err
	}
	g := p.rows(c.rows, c.shape.K)
	return func() error {
		if err := way.plan.Run(operands, workspace); err != nil {
			return err
		}
		return f.Launch(p.ex.stream, g.x, g.y, kernels.Threads, 0, c.epilogueArgs()...)
	}, nil
}

// measure is the milliseconds that the device takes.
func (p *program) measure(begin, end *driver.Event, run op) (float64, error) {
	if err := begin.Record(p.ex.stream); err != nil {
		return 0, err
	}
	if err := run(); err != nil {
		return 0, err
	}
	if err := end.Record(p.ex.stream); err != nil {
		return 0, err
	}
	if err := end.Synchronize(); err != nil {
		return 0, err
	}
	return end.Since(begin)
}

func twoEvents() (a, b *driver.Event, err error) {
	if a, err = driver.NewEvent(); err != nil {
		return nil, nil, err
	}
	if b, err = driver.NewEvent(); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}
	return a, b, nil
}

// operands with scratch memory at this address: first a weight gradient that is not float32, then the workspace.
func (c *convolution) operands(scratch uint64) (o nvlib.Operands, workspace uint64) {
	o = nvlib.Operands{X: c.x, W: c.w, Y: c.y, Bias: c.bias, Residual: c.residual}
	if c.gradBytes > 0 {
		o.W = scratch
	}
	return o, scratch + uint64(aligned(c.gradBytes))
}

// needsEpilogue reports whether a pass over the convolution's output is to follow, unless its plan does that too.
func (c *convolution) needsEpilogue() bool { return c.bias != 0 || c.residual != 0 || c.relu }

// convolve adds the convolution alone.
func (p *program) convolve(c *convolution, way *candidate) error {
	if way.plan == nil {
		p.need(c.gradBytes)
		return p.direct(c)
	}
	p.need(aligned(c.gradBytes) + way.plan.Workspace())
	p.add(c.phase, func() error { return way.plan.Run(c.operands(uint64(p.scratch))) })
	return nil
}

// direct adds our own kernel, for shapes for which cuDNN has none.
func (p *program) direct(c *convolution) error {
	s := &c.shape
	oh, ow := ir.ConvOut(s.H, s.Kernel, s.Stride, s.Pad), ir.ConvOut(s.W, s.Kernel, s.Stride, s.Pad)
	extents := numbers(s.N, s.H, s.W, s.C, oh, ow, s.K, s.Kernel, s.Stride, s.Pad)
	switch s.Op {
	case nvlib.Forward:
		return p.typed(c.phase, "conv_direct", few(c.rows*s.K), append([]uint64{c.x, c.w, c.y}, extents...)...)
	case nvlib.GradData:
		return p.typed(c.phase, "conv_direct_grad_data", few(s.N*s.H*s.W*s.C), append([]uint64{c.w, c.y, c.x}, extents...)...)
	}
	const channelsPerBlock = 32
	g := grid{s.K * s.Kernel * s.Kernel, (s.C + channelsPerBlock - 1) / channelsPerBlock}
	return p.kernel(c.phase, kernels.Name("conv_direct_grad_weights", int(p.ex.elementBytes())), g, func() []uint64 {
		o, _ := c.operands(uint64(p.scratch))
		return append([]uint64{c.x, c.y, o.W}, extents...)
	})
}

func (c *convolution) epilogueArgs() []uint64 {
	return []uint64{c.y, c.bias, c.residual, flag(c.relu), uint64(c.rows), uint64(c.shape.K)}
}
