package metric

import (
	"context"
	"testing"

	"libdsl/lib/rng"
)

// unitRows draws n rows of unit length around one of classes directions, spread apart by noise.
func unitRows(seed uint64, n, dim, classes int, noise float64) (x []float32, labels []int64) {
	r := rng.New(seed, "test")
	centres := make([]float64, classes*dim)
	for i := range centres {
		centres[i] = r.NormFloat64()
	}
	x, labels = make([]float32, n*dim), make([]int64, n)
	for i := range n {
		c := r.IntN(classes)
		labels[i] = int64(c)
		for j := range dim {
			x[i*dim+j] = float32(centres[c*dim+j] + noise*r.NormFloat64())
		}
	}
	normalise(x, dim)
	return x, labels
}

func BenchmarkRetrieve5000x128(b *testing.B) { benchmarkRetrieve(b, 5000) }

// A minute or more per round.
func BenchmarkRetrieve100000x128(b *testing.B) { benchmarkRetrieve(b, 100_000) }

func benchmarkRetrieve(b *testing.B, n int) {
	x, labels := unitRows(1, n, 128, 7, 3)
	groups := make([]int64, len(labels))
	for i := range groups {
		groups[i] = int64(i / 2)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Retrieve(context.Background(), x, 128, labels, groups, 0); err != nil {
			b.Fatal(err)
		}
	}
}
