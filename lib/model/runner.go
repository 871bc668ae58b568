package model

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// Runner runs programs of one network on one executor and one store. One goroutine uses it at a time.
type Runner struct {
	Arch    Arch
	Store   backend.Store
	Ranges  Ranges // of the network's feature maps; nil unless the backend needs them
	backend backend.Backend
	exec    backend.Executor
	sizes   []int // batch sizes of Run, ascending from 1
	cache   []*entry
}

// entry is a compiled program, most recently used last.
type entry struct {
	key   key
	prog  backend.Program
	bytes int64
}

type key struct {
	mode                 Mode
	batch, height, width int
}

// maxCacheBytes bounds the arenas of the programs that a runner keeps beside the largest one, which a training comes back to after each validation.
const maxCacheBytes = 2 << 30

// batchSizes are the sizes that images are embedded in. Few sizes mean few compiled programs.
var batchSizes = []int{1, 8, 32, 128}

// NewRunner starts an executor for a store that holds the network's tensors. invariant makes every image be embedded in a batch of one
// size, so that its embedding does not depend on how many images came with it; else it may differ by rounding.
func NewRunner(a Arch, be backend.Backend, s backend.Store, o backend.Options, invariant bool) (*Runner, error) {
	ex, err := be.NewExecutor(o)
	if err != nil {
		return nil, err
	}
	r := &Runner{Arch: a, Store: s, backend: be, exec: ex, sizes: batchSizes}
	if invariant {
		r.sizes = batchSizes[:1]
	}
	return r, nil
}

// Close frees the programs and ends the executor; the store stays.
func (r *Runner) Close() error {
	r.Forget()
	return r.exec.Close()
}

// Forget frees all compiled programs.
func (r *Runner) Forget() {
	for _, e := range r.cache {
		e.prog.Close()
	}
	r.cache = nil
}

// Program returns the compiled program of a mode and input shape, compiling it when it is not there.
func (r *Runner) Program(mode Mode, batch, height, width int) (backend.Program, error) {
	k := key{mode, batch, height, width}
	for i, e := range r.cache {
		if e.key == k {
			r.cache = append(append(r.cache[:i:i], r.cache[i+1:]...), e)
			return e.prog, nil
		}
	}
	src, err := Program(r.Arch, mode, batch, height, width)
	if err != nil {
		return nil, err
	}
	o := r.backend.PlanOptions()
	o.Ranges = r.Ranges
	pl, err := plan.Build(src, o)
	if err != nil {
		return nil, err
	}
	r.evict(pl.ArenaBytes)
	prog, err := r.exec.Compile(pl, r.Store)
	if err != nil {
		return nil, err
	}
	r.cache = append(r.cache, &entry{k, prog, pl.ArenaBytes})
	return prog, nil
}

// evict makes room for a program, least recently used first.
func (r *Runner) evict(bytes int64) {
	largest := bytes
	for _, e := range r.cache {
		bytes += e.bytes
		largest = max(largest, e.bytes)
	}
	for i := 0; i < len(r.cache) && bytes > largest+maxCacheBytes; {
		e := r.cache[i]
		if e.bytes == largest {
			i++
			continue
		}
		bytes -= e.bytes
		e.prog.Close()
		r.cache = append(r.cache[:i:i], r.cache[i+1:]...)
	}
}

// Result is what Embed or Explain computed for some images, valid until the next run.
type Result struct {
	First, Count int       // images First..First+Count-1
	Embedding    []float32 // e [Count,D]
	Penultimate  []float32 // v [Count,C]
	Attention    []float32 // A [Count,H',W'], nil without attention
	Features     []float32 // F [Count,H',W',C], Explain only
}

// Run computes n images in batches of a few fixed sizes. fill writes the pixels of images first..first+count-1, [count,H,W,3]; visit gets
// each result. Errors: those of fill and visit, Cancelled, Device.
func (r *Runner) Run(ctx context.Context, mode Mode, n, height, width int,
	fill func(first, count int, pixels []byte) error, visit func(*Result) error) error {
	for first := 0; first < n; {
		batch := r.batch(n-first, height*width)
		res := Result{First: first, Count: min(batch, n-first)}
		if err := r.runBatch(ctx, key{mode, batch, height, width}, fill, &res); err != nil {
			return err
		}
		if err := visit(&res); err != nil {
			return err
		}
		first += res.Count
	}
	return nil
}

// batch is the size to compute the first of n images in: the largest that they fill for more than half or, where the backend prefers padding, the smallest that
// holds them all.
func (r *Runner) batch(n, pixels int) int {
	pays := r.backend.Batches()
	batch := 1
	for _, size := range r.sizes {
		if fills := size < 2*n || pays.Padded && batch < n; fills && size*pixels <= pays.Pixels {
			batch = size
		}
	}
	return batch
}

func (r *Runner) runBatch(ctx context.Context, k key, fill func(first, count int, pixels []byte) error, res *Result) error {
	if k.mode != Embed && k.mode != Explain {
		return errs.New(errs.Internal, "model: mode %d has no results", k.mode)
	}
	prog, err := r.Program(k.mode, k.batch, k.height, k.width)
	if err != nil {
		return err
	}
	pixels, err := prog.Input(InPixels)
	if err != nil {
		return err
	}
	used := len(pixels) / k.batch * res.Count
	if err := fill(res.First, res.Count, pixels[:used]); err != nil {
		return err
	}
	clear(pixels[used:])
	if err := prog.Forward(ctx, &ir.Args{}); err != nil {
		return err
	}
	for _, o := range []struct {
		name string
		dst  *[]float32
		want bool
	}{
		{OutEmbedding, &res.Embedding, true}, {OutPenultimate, &res.Penultimate, true},
		{OutAttention, &res.Attention, r.Arch.Attention == Gate}, {OutFeatures, &res.Features, k.mode == Explain},
	} {
		if !o.want {
			continue
		}
		all, err := prog.Output(o.name)
		if err != nil {
			return err
		}
		*o.dst = all[:len(all)/k.batch*res.Count]
	}
	return nil
}
