package metric

import (
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
	x, labels := make([]float32, n*dim), make([]int64, n)
	for i := range x {
		x[i] = float32(i*7919%1009) / 1009 // any numbers
	}
	var s *search
	bytes := allocated(func() {
		s = newSearch(x, dim, labels, labels, workers)
		for w := range workers {
			s.queries(&s.scratch[w], 0, queriesPerPiece)
		}
	})
	// per worker a piece's scores and two columns of sort keys, per row two outcomes; all pairs would be 40 GB
	most := uint64(workers*(4*queriesPerPiece+16)*n + 2*64*n + 8*n)
	if bytes > most {
		t.Errorf("got %d bytes, want at most %d", bytes, most)
	}
	if bytes := allocated(func() { s.queries(&s.scratch[0], n-queriesPerPiece, n) }); bytes > 1<<16 {
		t.Errorf("another piece: got %d bytes, want none to speak of", bytes)
	}
}
