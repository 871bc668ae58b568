package dsl

import (
	"context"
	"errors"
	"sync"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/internal/par"
	"libdsl/lib/model"
)

// SessionOptions says where and how a session runs; the zero value is "auto" with all cores.
type SessionOptions struct {
	Device         string // "", "auto", "cpu", "cuda", "cuda:N"
	Precision      string // "", "auto", "f32", "tf32", "bf16", "int8"
	Threads        int    // 0: as SetNumThreads says
	BatchInvariant bool   // an embedding does not depend in one bit on the images beside it
}

// Session runs a model on a device with an executor of its own. Calls from several goroutines wait for each other.
type Session struct {
	model   *Model
	backend backend.Backend
	threads int

	mu      sync.Mutex
	net     *model.Session // nil after Close
	workers []worker       // by thread
}

// NewSession starts an executor. Errors: Invalid, Unsupported, Device, OutOfMemory.
func NewSession(m *Model, o SessionOptions) (*Session, error) {
	if err := checkThreads(o.Threads); err != nil {
		return nil, err
	}
	be, err := openBackend(o.Device, o.Precision)
	if err != nil {
		return nil, err
	}
	if err := m.retain(); err != nil {
		return nil, err
	}
	n := threads(o.Threads)
	net, err := m.net.NewSession(be, backend.Options{Threads: n, Winograd: true}, o.BatchInvariant)
	if err != nil {
		return nil, errors.Join(err, m.release())
	}
	return &Session{model: m, backend: be, threads: n, net: net, workers: newWorkers(n, m.InputSize())}, nil
}

// Close ends the executor after the call in progress; it may be called twice.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.net == nil {
		return nil
	}
	net := s.net
	s.net = nil
	return errors.Join(net.Close(), s.model.release())
}

// lock waits for the call in progress; unlock is the returned function. Errors: Invalid after Close.
func (s *Session) lock() (unlock func(), err error) {
	s.mu.Lock()
	if s.net == nil {
		s.mu.Unlock()
		return nil, errs.New(errs.Invalid, "dsl: session: it is closed")
	}
	return s.mu.Unlock, nil
}

// Embed writes the embeddings of the images, [N, D], rows of unit length, to out.
// Errors: BufferTooSmall; Invalid, naming the row; Cancelled; Device.
func (s *Session) Embed(ctx context.Context, images []*Image, out []float32) error {
	return s.embed(ctx, len(images), given(images), out)
}

// EmbedFiles is Embed for files, each decoded right before it is needed, several at a time. An unreadable file is an
// error that names its row; out is then unspecified.
func (s *Session) EmbedFiles(ctx context.Context, paths []string, out []float32) error {
	return s.embed(ctx, len(paths), files(paths), out)
}

func (s *Session) embed(ctx context.Context, n int, image source, out []float32) error {
	return s.rows(ctx, n, s.model.EmbeddingDim(), image, out, (*model.Session).Embed)
}

// worker is the memory in which one goroutine brings images to size×size pixels, as in training.
type worker struct {
	size    int
	decoder imageio.Decoder
	resizer imageio.Resizer
}

func newWorkers(n, size int) []worker {
	workers := make([]worker, n)
	for i := range workers {
		workers[i].size = size
	}
	return workers
}

// source brings image i of a call to dst.
type source func(w *worker, i int, dst []byte) error

// pictures is the source of decoded images; what get gives may use the memory of its decoder.
func pictures(get func(dec *imageio.Decoder, i int) (*Image, error)) source {
	return func(w *worker, i int, dst []byte) error {
		img, err := get(&w.decoder, i)
		if err != nil {
			return err
		}
		return w.resizer.Evaluate(dst, img, w.size)
	}
}

// given gives images in memory.
func given(images []*Image) source {
	return pictures(func(_ *imageio.Decoder, i int) (*Image, error) { return images[i], nil })
}

// files decodes files, no more of each than is needed.
func files(paths []string) source {
	return func(w *worker, i int, dst []byte) error {
		return w.resizer.EvaluateFile(dst, &w.decoder, paths[i], 0, w.size)
	}
}

// rows computes a row of dim numbers for each of n images, evaluated as in training.
func (s *Session) rows(ctx context.Context, n, dim int, image source, out []float32,
	compute func(net *model.Session, ctx context.Context, n int, fill func(first, count int, pixels []byte) error, out []float32) error) error {
	if dim > 0 && n > len(out)/dim {
		return errs.New(errs.BufferTooSmall, "dsl: results: got room for %d numbers, want [%d, %d]", len(out), n, dim)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return compute(s.net, ctx, n, evaluated(ctx, s.workers, image), out[:n*dim])
}

// evaluated fills a batch with images. Errors name the image's row.
func evaluated(ctx context.Context, workers []worker, image source) func(first, count int, pixels []byte) error {
	return func(first, count int, pixels []byte) error {
		failures := make([]error, count)
		err := par.For(ctx, count, 1, len(workers), func(i, lo, _ int) {
			w := &workers[i]
			one := 3 * w.size * w.size
			if err := image(w, first+lo, pixels[lo*one:(lo+1)*one]); err != nil {
				failures[lo] = errs.Wrap(errs.KindOf(err), err, "dsl: image in row %d", first+lo)
			}
		})
		if err != nil {
			return err
		}
		for _, err := range failures {
			if err != nil {
				return err
			}
		}
		return nil
	}
}
