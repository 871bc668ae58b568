package cuda

import (
	"context"
	"math"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
)

// Of the distances that are in the device's memory at a time: 16 MB.
const (
	tileQueries = 256
	tileRows    = 1 << 14
)

// array is rows in the device's memory, with a thread and a stream of their own.
type array struct {
	device *device
	thread *osthread.Thread
	memory
	copier // and the stream
	n, dim int

	rows, queries, tile, values, indices driver.Ptr

	assign assignment
}

// NewArray copies rows to the device.
func (b Backend) NewArray(x []float32, dim int) (backend.Array, error) {
	if dim < 1 || len(x) == 0 || len(x)%dim != 0 || len(x)/dim > math.MaxInt32 {
		return nil, errs.New(errs.Invalid, "cuda: array: got %d numbers, want one or more rows of %d", len(x), dim)
	}
	a := &array{device: b.device, n: len(x) / dim, dim: dim}
	var err error
	if a.thread, err = osthread.Start("cuda", func() error { return a.begin(x) }, a.end); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *array) begin(x []float32) (err error) {
	defer func() {
		if err != nil {
			a.end()
		}
	}()
	if err := a.device.context.Use(); err != nil {
		return err
	}
	if a.stream, err = driver.NewStream(); err != nil {
		return err
	}
	if a.staging, err = a.pin(stagingBytes); err != nil {
		return err
	}
	tile := int64(tileQueries) * int64(min(a.n, tileRows))
	for _, m := range []struct {
		at      *driver.Ptr
		numbers int64
	}{
		{&a.rows, int64(len(x))}, {&a.queries, tileQueries * int64(a.dim)}, {&a.tile, tile},
		{&a.values, tileQueries * backend.MaxNeighbours}, {&a.indices, tileQueries * backend.MaxNeighbours},
	} {
		if *m.at, err = a.alloc(4 * m.numbers); err != nil {
			return err
		}
	}
	return a.copyIn(a.rows, unsafe.Pointer(unsafe.SliceData(x)), 4*int64(len(x)))
}

// end frees what begin made, on the thread. Nothing could be done about an error here.
func (a *array) end() {
	a.device.capturing.Lock()
	defer a.device.capturing.Unlock()
	a.assign.free()
	a.memory.free()
	if a.stream != nil {
		a.stream.Close()
	}
	a.device.context.Drop()
}

// Close ends the thread; it may be called twice.
func (a *array) Close() error {
	a.thread.Close()
	return nil
}

func (a *array) do(job func() error) error { return a.thread.Do(osthread.NewJob(job)) }

// launch puts one of our kernels into the stream.
func (a *array) launch(name string, g grid, args ...uint64) error {
	f, err := a.device.module.Function(name)
	if err != nil {
		return err
	}
	return f.Launch(a.stream, g.x, g.y, kernels.Threads, 0, args...)
}

// count is the number of rows of queries. Errors: Invalid for a part of a row.
func (a *array) count(queries []float32) (int, error) {
	if len(queries)%a.dim != 0 {
		return 0, errs.New(errs.Invalid, "cuda: array: got %d numbers of queries, want rows of %d", len(queries), a.dim)
	}
	return len(queries) / a.dim, nil
}

// Distances copies tile after tile out.
func (a *array) Distances(ctx context.Context, queries, out []float32) error {
	m, err := a.count(queries)
	if err != nil {
		return err
	}
	if len(out) != m*a.n {
		return errs.New(errs.Invalid, "cuda: array: got room for %d distances, want [%d, %d]", len(out), m, a.n)
	}
	return a.do(func() error {
		tile := make([]float32, min(m, tileQueries)*min(a.n, tileRows))
		return a.tiles(ctx, queries, func(t tile4) error {
			width := t.to - t.from
			if err := a.copyOut(unsafe.Pointer(&tile[0]), a.tile, 4*int64((t.hi-t.lo)*width)); err != nil {
				return err
			}
			for q := t.lo; q < t.hi; q++ {
				copy(out[q*a.n+t.from:q*a.n+t.to], tile[(q-t.lo)*width:(q-t.lo+1)*width])
			}
			return nil
		})
	})
}

// tile4 is where a tile lies: queries lo..hi-1, rows from..to-1.
type tile4 struct{ lo, hi, from, to int }

// tiles computes the distances of queries to rows, tile after tile, and calls use when the work for a tile is in the stream.
func (a *array) tiles(ctx context.Context, queries []float32, use func(tile4) error) error {
	m := len(queries) / a.dim
	for lo := 0; lo < m; lo += tileQueries {
		hi := min(lo+tileQueries, m)
		if err := a.copyIn(a.queries, unsafe.Pointer(&queries[lo*a.dim]), 4*int64((hi-lo)*a.dim)); err != nil {
			return err
		}
		for from := 0; from < a.n; from += tileRows {
			to := min(from+tileRows, a.n)
			if ctx.Err() != nil {
				return errs.Wrap(errs.Cancelled, ctx.Err(), "cuda: cancelled")
			}
			rows := uint64(a.rows) + 4*uint64(from)*uint64(a.dim)
			g := grid{(to - from + kernels.TileSide - 1) / kernels.TileSide, (hi - lo + kernels.TileSide - 1) / kernels.TileSide}
			err := a.launch("distance_tile", g, append([]uint64{uint64(a.queries), rows, uint64(a.tile)}, numbers(hi-lo, to-from, a.dim, to-from)...)...)
			if err != nil {
				return err
			}
			if err := use(tile4{lo, hi, from, to}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Nearest merges tile after tile into the queries' lists.
func (a *array) Nearest(ctx context.Context, queries []float32, k int, rows []int32, distances []float32) error {
	m, err := a.count(queries)
	if err != nil {
		return err
	}
	if k < 1 || k > min(backend.MaxNeighbours, a.n) || len(rows) != m*k || len(distances) != m*k {
		return errs.New(errs.Invalid, "cuda: array: got %d neighbours and room for %d and %d of %d queries, want 1 to %d and room for all",
			k, len(rows), len(distances), m, min(backend.MaxNeighbours, a.n))
	}
	const nobody = math.MaxUint64 // -1: no row is left out
	return a.do(func() error {
		return a.tiles(ctx, queries, func(t tile4) error {
			err := a.launch("top_k", grid{t.hi - t.lo, 1}, uint64(a.tile), uint64(a.values), uint64(a.indices), uint64(t.to-t.from), uint64(k),
				uint64(t.from), nobody, flag(t.from == 0))
			if err != nil || t.to < a.n {
				return err
			}
			bytes := 4 * int64((t.hi-t.lo)*k)
			if err := a.copyOut(unsafe.Pointer(&distances[t.lo*k]), a.values, bytes); err != nil {
				return err
			}
			return a.copyOut(unsafe.Pointer(&rows[t.lo*k]), a.indices, bytes)
		})
	})
}
