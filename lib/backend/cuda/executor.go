package cuda

import (
	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
	"libdsl/lib/plan"
)

// executor is a thread with streams and the libraries' handles, which belong to it.
type executor struct {
	Backend
	thread  *osthread.Thread
	stream  *driver.Stream // in which programs run
	copies  *driver.Stream // in which inputs come while they do
	handles *nvlib.Handles
	gemm    driver.Ptr // cuBLAS's workspace
	chosen  map[nvlib.Conv]*candidate
	open    map[*program]struct{}

	nondeterministic bool // convolutions may be
}

// gemmWorkspace is what NVIDIA recommends for Hopper; a handle that owns its workspace can be captured.
const gemmWorkspace = 32 << 20

// NewExecutor starts the thread. All options but Nondeterministic are of CPUs.
func (b Backend) NewExecutor(o backend.Options) (backend.Executor, error) {
	e := &executor{Backend: b, chosen: map[nvlib.Conv]*candidate{}, open: map[*program]struct{}{}, nondeterministic: o.Nondeterministic}
	var err error
	if e.thread, err = osthread.Start("cuda", e.begin, e.end); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *executor) begin() (err error) {
	defer func() {
		if err != nil {
			e.end()
		}
	}()
	if err := e.device.context.Use(); err != nil {
		return err
	}
	if e.stream, err = driver.NewStream(); err != nil {
		return err
	}
	if e.copies, err = driver.NewStream(); err != nil {
		return err
	}
	if e.handles, err = nvlib.NewHandles(e.stream.Handle()); err != nil {
		return err
	}
	if e.gemm, err = driver.Alloc(gemmWorkspace); err != nil {
		return err
	}
	return e.handles.SetWorkspace(uint64(e.gemm), gemmWorkspace)
}

// end frees what begin made, on the thread, and programs that nobody closed. Nothing could be done about an error here.
func (e *executor) end() {
	for p := range e.open {
		p.free()
	}
	e.device.capturing.Lock()
	defer e.device.capturing.Unlock()
	for _, way := range e.chosen {
		closeAll([]candidate{*way})
	}
	if e.handles != nil {
		e.handles.Close()
	}
	if e.gemm != 0 {
		driver.Free(e.gemm)
	}
	for _, s := range []*driver.Stream{e.copies, e.stream} {
		if s != nil {
			s.Close()
		}
	}
	e.device.context.Drop()
}

// Close ends the thread.
func (e *executor) Close() error {
	e.thread.Close()
	return nil
}

// Compile chooses kernels, by timing where there are several, and captures the plan's phases.
func (e *executor) Compile(p *plan.Plan, s backend.Store) (backend.Program, error) {
	st, ok := s.(*store)
	if !ok || st.device != e.device {
		return nil, errs.New(errs.Invalid, "cuda: the store belongs to another backend or device")
	}
	prog := newProgram(e, p, st)
	if err := e.thread.Do(osthread.NewJob(prog.compile)); err != nil {
		prog.Close()
		return nil, err
	}
	return prog, nil
}
