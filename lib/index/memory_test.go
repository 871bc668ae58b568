package index

import (
	"context"
	"runtime"
	"testing"
)

func TestASearchAmongManyRowsNeedsLittleMemory(t *testing.T) {
	const n, dim, queries, k = 100_000, 128, 200, 10
	rows, state := make([]float32, n*dim), uint32(1)
	for i := range rows {
		state = state*1664525 + 1013904223 // any numbers, quickly
		rows[i] = float32(int32(state))
	}
	x := newIndex(t, dim, 0, Items{Embeddings: rows})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := x.Search(context.Background(), rows[:queries*dim], Search{K: k, Learner: AllLearners, Threads: 2})
	must(t, err)
	runtime.ReadMemStats(&after)
	// in all: the queries, two blocks of products, candidates in lists that grow by doubling, results; products of all pairs would be 80 MB
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4<<20); got > most {
		t.Errorf("got %d bytes, want at most %d", got, most)
	}
}
