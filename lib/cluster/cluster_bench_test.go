package cluster

import (
	"context"
	"fmt"
	"testing"

	"libdsl/lib/rng"
)

// normalRows draws n rows of independent normal numbers: the slowest data for K-means, with no clusters at all.
func normalRows(seed uint64, n, dim int) []float32 {
	r := rng.New(seed, "test")
	x := make([]float32, n*dim)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func BenchmarkKMeans5000x128(b *testing.B) {
	x := normalRows(1, 5000, 128)
	for b.Loop() {
		r, err := KMeans(context.Background(), x, 128, Options{K: 7, Restarts: 5}, rng.New(1, "kmeans"))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(r.Iterations), "iterations")
	}
}

// An assignment and the new centres: 20,000 rows of 1024 numbers, eight clusters.
func BenchmarkIteration20000x1024(b *testing.B) {
	x := normalRows(1, 20_000, 1024)
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			l, err := newLloyd(context.Background(), x, 1024, Options{K: 8, Threads: threads})
			if err == nil {
				err = l.seed(rng.New(1, "kmeans"))
			}
			for b.Loop() {
				if err == nil {
					err = l.assignRows()
				}
				if err == nil {
					err = l.moveCentres()
				}
			}
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}
