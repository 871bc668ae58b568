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

func BenchmarkRetrieve5000x128(b *testing.B) {
	x, labels := unitRows(1, 5000, 128, 7, 3)
	groups := make([]int64, len(labels))
	for i := range groups {
		groups[i] = int64(i / 2)
	}
	for b.Loop() {
		if _, err := Retrieve(context.Background(), x, 128, labels, groups, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// A piece of queries among 100,000 rows on one core; all of them query in 4167 times that.
func BenchmarkQueries24In100000x128(b *testing.B) {
	x, labels := unitRows(1, 100_000, 128, 7, 3)
	s := searchFor(b, x, 128, labels, labels, 1)
	b.ReportAllocs()
	for b.Loop() {
		s.queries(context.Background(), &s.scratch[0], 0, mostPerPiece)
	}
}
