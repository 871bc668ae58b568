// Package cluster groups embeddings by K-means and keeps the groups' numbers stable over time.
//
// A cluster is a group of images, numbered 0..K-1; -1 stands for an image without one. Results depend on the data and
// the random stream only, never on the number of threads.
package cluster

import (
	"context"
	"math"

	"libdsl/lib/backend"
	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/internal/par"
	"libdsl/lib/internal/simd"
	"libdsl/lib/rng"
)

// N rows, D dimension of a row, K clusters.

const defaultRestarts = 5

// Options of KMeans.
type Options struct {
	K        int // clusters, 1 to N
	Restarts int // seeded starts, the one with the least inertia wins; 0 means 5
	MaxIter  int // assignments per restart at most; 0 means 100
	Threads  int // 0: one per core

	// Device finds the nearest centres and adds up their rows, in float32; nil: the CPU does, in float64. Results differ as far as a row is about
	// as near to two centres.
	Device backend.ArrayBackend
}

// Work is about how many multiply-adds KMeans takes for so many numbers: tens of iterations of each restart.
func Work(numbers int, o Options) float64 {
	const iterations = 20
	restarts := o.Restarts
	if restarts == 0 {
		restarts = defaultRestarts
	}
	return float64(numbers) * float64(o.K) * float64(restarts) * iterations
}

// Result of KMeans.
type Result struct {
	Assignment []int     // [N], the cluster of each row
	Centres    []float64 // [K, D], the means that Assignment was made with
	Inertia    float64   // sum of squared distances to the assigned centres
	Iterations int       // assignments made by the winning restart
}

// KMeans is Lloyd's algorithm from greedy k-means++ seeds (Arthur and Vassilvitskii 2007) on rows x [N, dim]:
//
//	minimise Σ_i ‖x_i − c_assignment(i)‖²
//
// A restart ends when an assignment equals the one before. Ties go to the lowest cluster. A cluster that becomes empty
// takes the row farthest from its centre, the lowest such row, out of a cluster of two or more; it stays empty only when every row
// coincides with a centre, that is with fewer than K distinct rows. Sums are in float64. The stream is drawn from
// serially; equal streams and rows give equal results on processors with the same vector instructions. Memory beside x is O(N·ln K + K·dim), at most
// a seventh of x, and O(rowsPerTile·K) per thread.
//
// Errors: errs.Invalid for rows that are empty, not whole or not finite, and for K outside 1..N; errs.Cancelled.
func KMeans(ctx context.Context, x []float32, dim int, opt Options, stream *rng.Stream) (*Result, error) {
	if err := distance.CheckRows("cluster", x, dim); err != nil {
		return nil, err
	}
	n := len(x) / dim
	if opt.K < 1 || opt.K > n {
		return nil, errs.New(errs.Invalid, "cluster: K: got %d clusters for %d rows, want 1 to %d", opt.K, n, n)
	}
	if opt.Restarts < 0 || opt.MaxIter < 0 {
		return nil, errs.New(errs.Invalid, "cluster: restarts and iterations: got %d and %d, want 0 or more", opt.Restarts, opt.MaxIter)
	}
	if opt.Restarts == 0 {
		opt.Restarts = defaultRestarts
	}
	if opt.MaxIter == 0 {
		opt.MaxIter = 100
	}
	l, err := newLloyd(ctx, x, dim, opt)
	if err != nil {
		return nil, err
	}
	if opt.Device != nil {
		rows, err := opt.Device.NewArray(x, dim)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		l.device = newDeviceRows(rows, l)
	}
	var best *Result
	for range opt.Restarts {
		r, err := l.run(stream)
		if err != nil {
			return nil, err
		}
		if best == nil || r.Inertia < best.Inertia {
			best = r
		}
	}
	return best, nil
}

const (
	rowsPerTile = 48  // whose products with the centres are held at a time: they are added to the sums while they are in the second-level cache
	rowsPerSum  = 480 // that are summed apart, so that sums do not depend on who computes them: ten tiles
	mostSummed  = 32  // clusters; with more of them, sums of so few rows would take more memory than the rows, and a second pass hardly any time
)

// lloyd holds what the restarts share.
type lloyd struct {
	ctx     context.Context
	x       []float32 // [N, D]
	n, dim  int
	opt     Options
	norms   []float64 // [N], squared lengths of the rows
	near    []float64 // [N], squared distance to the assigned (or nearest seed) centre
	assign  []int     // [N]
	before  []int     // [N], the assignment before
	counts  []int     // [K]
	centres []float64 // [K, D]
	cnorms  []float64 // [K], squared lengths of the centres
	sums    []float64 // [pieces of rowsPerSum, K, D], of the rows of each centre; nil with more clusters than mostSummed
	summed  bool      // sums are those of assign
	scratch []scratch // per worker

	device *deviceRows // nil: the CPU computes

	candidates []int     // of the next centre, while seeding
	wide       []float64 // [candidates, D], their rows
	trial      []float64 // [candidates, N], what near would be with each
	total      float64   // of near
}

// scratch is one worker's memory.
type scratch struct {
	dots    []float64 // [rowsPerTile, K or candidates], products with the centres
	nearest []int32   // [rowsPerTile]
}

func newLloyd(ctx context.Context, x []float32, dim int, opt Options) (*lloyd, error) {
	n, trials := len(x)/dim, 2+int(math.Log(float64(opt.K)))
	l := &lloyd{ctx: ctx, x: x, n: n, dim: dim, opt: opt, norms: make([]float64, n), near: make([]float64, n),
		assign: make([]int, n), before: make([]int, n), counts: make([]int, opt.K),
		centres: make([]float64, opt.K*dim), cnorms: make([]float64, opt.K),
		scratch:    make([]scratch, par.Threads(opt.Threads)),
		candidates: make([]int, trials), wide: make([]float64, trials*dim), trial: make([]float64, trials*n)}
	for w := range l.scratch {
		l.scratch[w] = scratch{make([]float64, rowsPerTile*max(opt.K, trials)), make([]int32, rowsPerTile)}
	}
	if opt.K <= mostSummed && opt.Device == nil {
		l.sums = make([]float64, (n+rowsPerSum-1)/rowsPerSum*opt.K*dim)
	}
	return l, par.For(ctx, n, rowsPerSum, opt.Threads, func(_, lo, hi int) { simd.Squares(x[lo*dim:hi*dim], dim, l.norms[lo:hi]) })
}

// tiles calls use for each tile of rows with its products with the centres. A piece of rowsPerSum rows is one worker's.
func (l *lloyd) tiles(centres []float64, use func(w *scratch, lo, hi int)) error {
	return par.For(l.ctx, l.n, rowsPerSum, l.opt.Threads, func(worker, lo, hi int) {
		w := &l.scratch[worker]
		for ; lo < hi && l.ctx.Err() == nil; lo += rowsPerTile {
			end := min(lo+rowsPerTile, hi)
			simd.WideDots(l.x[lo*l.dim:end*l.dim], l.dim, centres, w.dots)
			use(w, lo, end)
		}
	})
}
