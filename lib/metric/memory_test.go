package metric

import (
	"context"
	"runtime"
	"testing"
)

// allocated is the bytes that do takes from the heap, freed again or not.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Retrieve is newSearch, then pieces of queries on workers that have their scratch: what the first piece of each leaves behind serves all others.
func TestRetrievalAmongManyRowsNeedsMemoryForOnePieceOfQueries(t *testing.T) {
	const n, dim, workers = 100_000, 128, 2
	x, labels, groups := make([]float32, n*dim), make([]int64, n), make([]int64, n)
	for i := range x {
		x[i] = float32(i*7919%1009) / 1009 // any numbers
	}
	for i := range labels {
		labels[i], groups[i] = int64(i%10), int64(i/2)
	}
	var s *search
	bytes := allocated(func() {
		s = searchFor(t, x, dim, labels, groups, workers)
		for w := range workers {
			s.queries(context.Background(), &s.scratch[w], 0, mostPerPiece)
		}
	})
	// per worker a tenth of the rows for each query of a piece, and half as many again that the sample lets in, in lists that grow by a quarter; per row two outcomes, its
	// length, class and group, a 61st of its numbers; per class and group a count. All pairs would be 40 GB
	most := uint64(workers*mostPerPiece*n/10*3/2*12*5 + n*(2*64+8+2*8+4*dim/sampleStride*4+64))
	if bytes > most {
		t.Errorf("got %d bytes, want at most %d", bytes, most)
	}
	if bytes := allocated(func() { s.queries(context.Background(), &s.scratch[0], n-mostPerPiece, n) }); bytes > 1<<20 {
		t.Errorf("another piece: got %d bytes, want next to none", bytes)
	}
}
