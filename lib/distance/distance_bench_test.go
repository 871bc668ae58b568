package distance

import (
	"testing"

	"libdsl/lib/rng"
)

func BenchmarkCompute256x128(b *testing.B) {
	x := make([]float32, 256*128)
	r := rng.New(1, "bench")
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	var m Matrix
	for b.Loop() {
		if err := m.Compute(x, 128); err != nil {
			b.Fatal(err)
		}
	}
}
