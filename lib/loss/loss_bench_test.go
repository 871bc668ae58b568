package loss

import "testing"

// BenchmarkMetrics256x128 is a batch of 32 classes × 8 images.
func BenchmarkMetrics256x128(b *testing.B) {
	const n, dim = 256, 128
	x, labels := batch(1, n, dim, n/8)
	grad := make([]float32, n*dim)
	for _, m := range metrics {
		l := made(b, m.loss, m.o, dim)
		b.Run(m.name, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := l.Compute(x, dim, labels, grad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
