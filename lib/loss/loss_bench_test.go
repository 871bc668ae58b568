package loss

import "testing"

// BenchmarkMargin256x128 is a batch of 32 classes × 8 images.
func BenchmarkMargin256x128(b *testing.B) {
	const n, dim = 256, 128
	x, labels := batch(1, n, dim, n/8)
	grad := make([]float32, n*dim)
	l := NewMargin()
	for b.Loop() {
		if _, _, err := l.Compute(x, dim, labels, grad); err != nil {
			b.Fatal(err)
		}
	}
}
