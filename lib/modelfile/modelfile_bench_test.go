package modelfile

import (
	"path/filepath"
	"testing"
)

// The size of a ResNet-50 to its third stage with attention and a 128-d embedding: about 40 MB.
const benchWeights = 10_000_000

func BenchmarkWrite(b *testing.B) {
	f, path := noisyCheckpoint(benchWeights), filepath.Join(b.TempDir(), "m.dsl")
	b.SetBytes(4 * benchWeights)
	for b.Loop() {
		if err := Write(path, f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	f := noisyCheckpoint(benchWeights)
	b.SetBytes(4 * benchWeights)
	for b.Loop() {
		if _, err := Encode(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	f, path := noisyCheckpoint(benchWeights), filepath.Join(b.TempDir(), "m.dsl")
	if err := Write(path, f); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4 * benchWeights)
	for b.Loop() {
		if _, err := Read(path, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
