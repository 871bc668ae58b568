package loss

import (
	"math"

	"libdsl/lib/rng"
)

// batch draws n rows of unit length with labels 0..classes-1 in turn.
func batch(seed uint64, n, dim, classes int) (x []float32, labels []int64) {
	r := rng.New(seed, "test")
	x, labels = make([]float32, n*dim), make([]int64, n)
	for i := range n {
		labels[i] = int64(i % classes)
		row := x[i*dim : (i+1)*dim]
		var sum float64
		for j := range row {
			row[j] = float32(r.NormFloat64())
			sum += float64(row[j]) * float64(row[j])
		}
		for j := range row {
			row[j] = float32(float64(row[j]) / math.Sqrt(sum))
		}
	}
	return x, labels
}
