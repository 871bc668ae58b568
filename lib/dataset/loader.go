package dataset

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/rng"
)

// LoaderOptions say what batches a Loader makes.
type LoaderOptions struct {
	Size    int    // pixels a side
	Batch   int    // B, images a batch
	Augment bool   // the training transform; else the evaluation transform
	Seed    uint64 // of the augmentation
	Workers int    // goroutines; 0 means one per CPU
	Ring    int    // batch buffers; 0 means 3
}

// Batch is a decoded batch. It belongs to the caller from Next until Release.
type Batch struct {
	Number  uint64
	Indices []int   // of the samples; at most B
	Labels  []int64 // of the samples
	Pix     []uint8 // [B, Size, Size, 3]; places after len(Indices) are 0

	next    int // the first place not begun
	pending int // places begun or not, but not finished
	err     error
	errAt   int
}

// Loader decodes and transforms batches on goroutines ahead of whoever uses them, into a ring of buffers that are
// used again. Ask with Push, take with Next in the same order, give back with Release. The pixels depend on the seed,
// the batch's number and the place in the batch only, so any number of goroutines gives the same.
//
// Push, Next and Release may be called from one goroutine or several.
type Loader struct {
	d *Dataset
	o LoaderOptions

	mu      sync.Mutex
	changed sync.Cond // anything below changed
	asked   []request // not begun, oldest first
	spare   [][]int   // index slices of finished requests
	begun   []*Batch  // in order; the last may have places not begun
	free    []*Batch
	waited  time.Duration // of callers of Next
	closed  bool
	workers sync.WaitGroup
}

type request struct {
	number  uint64
	indices []int
}

// maxBatchBytes bounds the ring, whose sizes come from the user: 4 GiB in all.
const maxBatchBytes = 4 << 30

// NewLoader starts the goroutines; Close ends them.
// Errors: Invalid for sizes out of range.
func NewLoader(d *Dataset, o LoaderOptions) (*Loader, error) {
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Ring == 0 {
		o.Ring = 3
	}
	if o.Size < 1 || o.Size > imageio.MaxSide || o.Batch < 1 || o.Workers < 0 || o.Ring < 0 || o.Workers > 1024 || o.Ring > 1024 {
		return nil, errs.New(errs.Invalid, "dataset: loader: got size %d, batch %d, %d workers, %d buffers; want a size of 1 to %d, a batch of at least 1, up to 1024 workers and buffers",
			o.Size, o.Batch, o.Workers, o.Ring, imageio.MaxSide)
	}
	one := 3 * o.Size * o.Size
	if o.Batch > maxBatchBytes/(one*o.Ring) {
		return nil, errs.New(errs.Invalid, "dataset: loader: got %d buffers of %d images at %d pixels, want at most 4 GiB in all; take a smaller batch",
			o.Ring, o.Batch, o.Size)
	}
	l := &Loader{d: d, o: o}
	l.changed.L = &l.mu
	for range o.Ring {
		l.free = append(l.free, &Batch{Pix: make([]uint8, one*o.Batch), Indices: make([]int, 0, o.Batch), Labels: make([]int64, 0, o.Batch)})
	}
	for range o.Workers {
		l.workers.Go(l.work)
	}
	return l, nil
}

// Push asks for a batch of the given samples and returns at once; indices are copied. number seeds the augmentation:
// use the optimiser step.
// Errors: Invalid for no or more than B indices or one out of range; Cancelled after Close.
func (l *Loader) Push(number uint64, indices []int) error {
	if len(indices) < 1 || len(indices) > l.o.Batch {
		return errs.New(errs.Invalid, "dataset: batch %d: got %d images, want 1 to %d", number, len(indices), l.o.Batch)
	}
	for _, i := range indices {
		if i < 0 || i >= len(l.d.Samples) {
			return errs.New(errs.Invalid, "dataset: batch %d: got sample %d, want 0 to %d", number, i, len(l.d.Samples)-1)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed()
	}
	var keep []int
	if n := len(l.spare); n > 0 {
		keep, l.spare = l.spare[n-1], l.spare[:n-1]
	}
	l.asked = append(l.asked, request{number, append(keep[:0], indices...)})
	l.changed.Broadcast()
	return nil
}

// Next waits for the oldest batch asked for and not yet taken. When one of its pictures failed, the error is that of
// the first in the batch's order, the batch is given back, and later batches go on.
// Errors: those of decoding; Invalid when nothing was asked for, or when every buffer is taken and not released;
// Cancelled with ctx or after Close.
func (l *Loader) Next(ctx context.Context) (*Batch, error) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := time.Now()
	defer func() { l.waited += time.Since(begun) }()
	for {
		switch {
		case l.closed:
			return nil, errClosed()
		case ctx.Err() != nil:
			return nil, errs.Wrap(errs.Cancelled, ctx.Err(), "dataset: loader: stopped waiting for a batch")
		case len(l.begun) > 0 && l.begun[0].pending == 0:
			b := l.begun[0]
			l.begun = shift(l.begun)
			if b.err != nil {
				l.free = append(l.free, b)
				l.changed.Broadcast()
				return nil, b.err
			}
			return b, nil
		case len(l.begun) == 0 && len(l.asked) == 0:
			return nil, errs.New(errs.Invalid, "dataset: loader: got Next without a batch asked for, want Push first")
		case len(l.begun) == 0 && len(l.free) == 0:
			return nil, errs.New(errs.Invalid, "dataset: loader: got Next while all %d buffers are taken, want Release first", l.o.Ring)
		}
		l.changed.Wait()
	}
}

// Waited is how long callers of Next have waited so far, in all: the time that decoding ahead did not hide.
func (l *Loader) Waited() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waited
}

// Release gives a batch's buffer back; the batch must not be used after it.
func (l *Loader) Release(b *Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, b)
	l.changed.Broadcast()
}

// Close ends the goroutines and waits for them; what was asked for is dropped. It may be called twice.
func (l *Loader) Close() {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	l.workers.Wait()
}

func errClosed() error { return errs.New(errs.Cancelled, "dataset: loader: it is closed") }

// shift drops the first element and keeps the memory.
func shift[T any](s []T) []T { return s[:copy(s, s[1:])] }

// worker is the memory of one goroutine.
type worker struct {
	decoder imageio.Decoder
	resizer imageio.Resizer
}

// work fills one place after the other until Close.
func (l *Loader) work() {
	var w worker
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		b, place := l.claim()
		if b == nil {
			return
		}
		l.mu.Unlock()
		err := l.fill(&w, b, place)
		l.mu.Lock()
		if err != nil && (b.err == nil || place < b.errAt) {
			b.err, b.errAt = err, place
		}
		if b.pending--; b.pending == 0 {
			l.changed.Broadcast()
		}
	}
}

// claim waits for a place to fill and takes it; nil means Close.
func (l *Loader) claim() (*Batch, int) {
	for {
		if l.closed {
			return nil, 0
		}
		if n := len(l.begun); n > 0 && l.begun[n-1].next < len(l.begun[n-1].Indices) {
			b := l.begun[n-1]
			b.next++
			return b, b.next - 1
		}
		if len(l.asked) > 0 && len(l.free) > 0 {
			l.begin()
			continue
		}
		l.changed.Wait()
	}
}

// begin moves the oldest request into a free buffer.
func (l *Loader) begin() {
	q := l.asked[0]
	l.asked = shift(l.asked)
	b := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	*b = Batch{Number: q.number, Pix: b.Pix, Indices: append(b.Indices[:0], q.indices...), Labels: b.Labels[:0]}
	for _, i := range b.Indices {
		b.Labels = append(b.Labels, l.d.Samples[i].Label)
	}
	b.pending = len(b.Indices)
	clear(b.Pix[3*l.o.Size*l.o.Size*len(b.Indices):])
	l.spare = append(l.spare, q.indices)
	l.begun = append(l.begun, b)
	l.changed.Broadcast() // the other workers
}

// fill decodes and transforms one picture into its place.
func (l *Loader) fill(w *worker, b *Batch, place int) (err error) {
	defer errs.Recover(&err)
	img, err := l.d.DecodeWith(&w.decoder, b.Indices[place])
	if err != nil {
		return err
	}
	one := 3 * l.o.Size * l.o.Size
	dst := b.Pix[place*one:][:one]
	if !l.o.Augment {
		return w.resizer.Evaluate(dst, img, l.o.Size)
	}
	name := append(make([]byte, 0, 64), "augment/"...)
	name = append(strconv.AppendUint(name, b.Number, 10), '/')
	name = strconv.AppendInt(name, int64(place), 10)
	return w.resizer.Augment(dst, img, l.o.Size, rng.New(l.o.Seed, string(name)))
}
