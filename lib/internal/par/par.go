// Package par runs a loop on several goroutines.
//
// It decides only which goroutine runs which piece, never how the pieces are cut: a caller whose pieces do not share
// results gets the same numbers for any number of threads.
package par

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"libdsl/lib/errs"
)

// Threads returns n, or the number of usable cores when n is zero or less.
func Threads(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// For cuts 0..n-1 into pieces of grain (the last may be shorter) and calls body for each, on at most threads
// goroutines (zero or less: one per core). body gets the number of its worker, in [0, threads), for scratch of its own.
//
// The context is read before each piece. The result is nil, an error of kind Cancelled, or the first error or panic of
// a body; the other workers then stop after their current piece.
func For(ctx context.Context, n, grain, threads int, body func(worker, lo, hi int)) error {
	pieces := (n + grain - 1) / grain
	workers := min(Threads(threads), pieces)
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			if failures[w] = work(ctx, w, n, grain, &next, body); failures[w] != nil {
				next.Store(int64(pieces))
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// work takes pieces until none is left.
func work(ctx context.Context, worker, n, grain int, next *atomic.Int64, body func(worker, lo, hi int)) (err error) {
	defer errs.Recover(&err)
	for {
		if ctx.Err() != nil {
			return errs.Wrap(errs.Cancelled, ctx.Err(), "cancelled")
		}
		lo := int(next.Add(1)-1) * grain
		if lo >= n {
			return nil
		}
		body(worker, lo, min(lo+grain, n))
	}
}
