package cluster

import (
	"context"
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
