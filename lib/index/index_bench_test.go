package index

import (
	"context"
	"testing"
)

// 100 queries among 100,000 rows of 128 numbers.
func BenchmarkSearch100In100000x128(b *testing.B) {
	x := newIndex(b, 128, 0, Items{Embeddings: normalRows("rows", 100_000, 128)})
	queries := normalRows("queries", 100, 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Search(context.Background(), queries, Search{K: 10, Learner: AllLearners}); err != nil {
			b.Fatal(err)
		}
	}
}
