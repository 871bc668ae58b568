package index

import (
	"context"
	"fmt"
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

// Eight neighbours of each of 20,000 rows of 128 numbers among them.
func BenchmarkSearch20000InThemselves(b *testing.B) {
	rows := normalRows("rows", 20_000, 128)
	x := newIndex(b, 128, 0, Items{Embeddings: rows})
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Search(context.Background(), rows, Search{K: 8, Learner: AllLearners, Threads: threads}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
