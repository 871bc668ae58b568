package cuda

import (
	"context"
	"errors"
	"math"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// program is a compiled plan. Forward waits for its outputs; Backward returns as soon as the device has been given its work, and whoever needs what it
// computes waits for it: the next Forward by the order of the stream, and the store until the update is done. The pixels of the next Forward do not:
// they are copied in a stream of their own while Backward runs. Staging memory is the caller's again when a call returns.
type program struct {
	ex    *executor
	plan  *plan.Plan
	store *store
	memory

	at          []driver.Ptr // by tensor: where steps find it
	channels    []int        // of 4-D tensors: as they are stored
	typedTensor []bool       // kept in the precision's type
	staging     []edge       // inputs
	results     []edge       // outputs
	phases      [ir.NumPhases]phase
	kernels     []string
	copies      map[packedKey]driver.Ptr // of parameters, as convolutions read them
	ways        []*candidate             // that the program uses
	tuning      driver.Ptr               // memory to try plans in, while compiling
	tuningBytes int64
	chunks      []adamChunk
	scratch     driver.Ptr
	most        int64 // bytes of scratch that the greediest step needs

	args     *[numArgs]uint64 // pinned
	argsAt   driver.Ptr
	sent     *driver.Event // the device has the inputs that are copied ahead; nil for none
	consumed *driver.Event // the device has read the staging memory
	done     *driver.Event // the device has finished Backward
	packed   int64         // the store's version that Setup ran on
	open     bool
	forward  *osthread.Job
	backward *osthread.Job
}

// edge is a tensor that crosses between host and device: dense memory on both sides.
type edge struct {
	id    ir.TensorID
	phase ir.Phase // in which it is computed or first read
	ahead bool     // an input that is copied while Backward may still run
	host  unsafe.Pointer
	at    driver.Ptr
	bytes int64
}

// phase is the work of a phase: operations in the order of the stream, and the graph that was captured from them; nil for no work.
type phase struct {
	ops   []op
	graph *driver.Graph
}

// op puts one piece of work into the executor's stream.
type op func() error

// Entries of the argument array that kernels read, as kernels/ documents them.
const (
	argLR = iota
	argWeightDecay
	argBeta1
	argBeta2
	argEps
	argCorrection1 // 1/(1 − β₁ᵗ)
	argCorrection2
	argMomentum
	argDropoutKey
	argRowLR
	numArgs = 16
)

func newProgram(e *executor, p *plan.Plan, s *store) *program {
	n := len(p.Tensors)
	prog := &program{ex: e, plan: p, store: s, open: true, at: make([]driver.Ptr, n), channels: make([]int, n),
		typedTensor: make([]bool, n), kernels: make([]string, len(p.Steps)), copies: map[packedKey]driver.Ptr{}}
	prog.forward, prog.backward = osthread.NewJob(prog.runForward), osthread.NewJob(prog.runBackward)
	return prog
}

func (p *program) Input(name string) ([]byte, error) {
	e, err := p.input(name, ir.U8)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(e.host), e.bytes), nil
}

func (p *program) InputF32(name string) ([]float32, error) {
	e, err := p.input(name, ir.F32)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*float32)(e.host), e.bytes/4), nil
}

func (p *program) input(name string, d ir.DType) (*edge, error) {
	id, err := backend.FindInput("cuda", p.plan, name, d)
	if err != nil {
		return nil, err
	}
	if !p.open {
		return nil, closed()
	}
	return find(p.staging, id)
}

func (p *program) Output(name string) ([]float32, error) {
	id, err := backend.FindOutput("cuda", p.plan, name)
	if err != nil {
		return nil, err
	}
	if !p.open {
		return nil, closed()
	}
	e, err := find(p.results, id)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*float32)(e.host), e.bytes/4), nil
}

func find(edges []edge, id ir.TensorID) (*edge, error) {
	for i := range edges {
		if edges[i].id == id {
			return &edges[i], nil
		}
	}
	return nil, errs.New(errs.NotFound, "cuda: tensor %d is neither read nor computed by the program", id)
}

func closed() error { return errs.New(errs.Invalid, "cuda: the program is closed") }

func (p *program) Kernels() []string { return append([]string(nil), p.kernels...) }

func (p *program) Forward(ctx context.Context, a *ir.Args) error  { return p.run(ctx, a, p.forward) }
func (p *program) Backward(ctx context.Context, a *ir.Args) error { return p.run(ctx, a, p.backward) }

// run is short: a phase takes the device some milliseconds, so the context is looked at before it only.
func (p *program) run(ctx context.Context, a *ir.Args, j *osthread.Job) error {
	if !p.open {
		return closed()
	}
	if err := ctx.Err(); err != nil {
		return errs.Wrap(errs.Cancelled, err, "cuda: cancelled")
	}
	p.setArgs(a)
	return p.ex.thread.Do(j)
}

func (p *program) setArgs(a *ir.Args) {
	if a == nil {
		a = &ir.Args{}
	}
	correction := func(beta float64) float64 { return 1 / (1 - math.Pow(beta, float64(a.Step))) }
	for i, v := range [...]float64{argLR: a.LR, argWeightDecay: a.WeightDecay, argBeta1: a.Beta1, argBeta2: a.Beta2, argEps: a.AdamEps,
		argCorrection1: correction(a.Beta1), argCorrection2: correction(a.Beta2), argMomentum: float64(a.BNMomentum), argRowLR: a.RowLR} {
		p.args[i] = math.Float64bits(v)
	}
	p.args[argDropoutKey] = a.DropoutKey
}

func (p *program) runForward() error {
	version, err := p.store.settle(p.done)
	if err != nil {
		return err
	}
	if err := p.send(); err != nil {
		return err
	}
	if err := p.feed(ir.Forward); err != nil {
		return err
	}
	if p.packed != version {
		p.packed = 0
		if err := p.launch(ir.Setup); err != nil {
			return err
		}
		p.packed = version
	}
	if p.sent != nil {
		if err := p.ex.stream.Wait(p.sent); err != nil {
			return err
		}
	}
	if err := p.launch(ir.Forward); err != nil {
		return err
	}
	if err := p.fetch(ir.Forward); err != nil {
		return err
	}
	return p.ex.stream.Synchronize()
}

func (p *program) runBackward() error {
	if _, err := p.store.settle(p.done); err != nil { // updates of one store come one after the other
		return err
	}
	if err := p.feed(ir.Backward); err != nil {
		return err
	}
	if err := p.consumed.Record(p.ex.stream); err != nil {
		return err
	}
	for _, ph := range []ir.Phase{ir.Backward, ir.Update} {
		if err := p.launch(ph); err != nil {
			return err
		}
	}
	if err := p.fetch(ir.Backward); err != nil {
		return err
	}
	if err := p.done.Record(p.ex.stream); err != nil {
		return err
	}
	if p.phases[ir.Update].graph != nil {
		p.store.changed(p.done)
	}
	if p.yields(ir.Backward) {
		return p.ex.stream.Synchronize()
	}
	return p.consumed.Synchronize() // at once: Forward has left the stream empty
}

// send copies the inputs that Forward alone reads, beside the Backward that may still run. It does not wait for who read the former ones: that was
// Forward, which has waited for its outputs.
func (p *program) send() error {
	if p.sent == nil {
		return nil
	}
	for i := range p.staging {
		if e := &p.staging[i]; e.ahead {
			if err := p.ex.copies.CopyIn(e.at, e.host, e.bytes); err != nil {
				return err
			}
		}
	}
	return p.sent.Record(p.ex.copies)
}

// feed copies the arguments and the inputs that a phase is the first to read, but for those that were sent, behind all work that reads the former ones.
func (p *program) feed(ph ir.Phase) error {
	if err := p.ex.stream.CopyIn(p.argsAt, unsafe.Pointer(p.args), numArgs*8); err != nil {
		return err
	}
	for i := range p.staging {
		if e := &p.staging[i]; e.phase == ph && !e.ahead {
			if err := p.ex.stream.CopyIn(e.at, e.host, e.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) launch(ph ir.Phase) error {
	if g := p.phases[ph].graph; g != nil {
		return g.Launch(p.ex.stream)
	}
	return nil
}

// fetch copies the outputs that a phase computes.
func (p *program) fetch(ph ir.Phase) error {
	for i := range p.results {
		if e := &p.results[i]; e.phase == ph {
			if err := p.ex.stream.CopyOut(e.host, e.at, e.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) yields(ph ir.Phase) bool {
	for i := range p.results {
		if p.results[i].phase == ph {
			return true
		}
	}
	return false
}

// Close waits for what runs and frees the program's memory. It may be called twice, and after the executor's Close, which has freed it.
func (p *program) Close() error {
	if !p.open {
		return nil
	}
	p.open = false
	err := p.ex.thread.Do(osthread.NewJob(p.free))
	if errs.KindOf(err) == errs.Invalid {
		return nil
	}
	return err
}

// free runs on the executor's thread.
func (p *program) free() error {
	delete(p.ex.open, p)
	err := errors.Join(p.ex.copies.Synchronize(), p.ex.stream.Synchronize())
	p.store.forget(p.done)
	for i := range p.phases {
		if g := p.phases[i].graph; g != nil {
			err = errors.Join(err, g.Close())
		}
	}
	for _, e := range []*driver.Event{p.sent, p.consumed, p.done} {
		if e != nil {
			err = errors.Join(err, e.Close())
		}
	}
	p.ex.release(p.ways)
	err = errors.Join(err, p.stopTuning())
	return errors.Join(err, p.memory.free())
}
