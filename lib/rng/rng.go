// Package rng gives seeded, named random streams.
//
// Every random decision draws from a stream named after its purpose ("init", "sampler", "augment/<image>/<epoch>" …),
// so that adding a draw in one place never changes another. A stream's state can be saved and restored, which is what
// makes a resumed training equal to one never stopped.
package rng

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Stream is one random stream: math/rand/v2's generator over a ChaCha8 source.
type Stream struct {
	*rand.Rand
	src *rand.ChaCha8
}

// New returns the stream called name of a run's seed. Equal arguments give equal draws on every machine.
func New(seed uint64, name string) *Stream {
	b := binary.LittleEndian.AppendUint64(nil, seed)
	src := rand.NewChaCha8(sha256.Sum256(append(b, name...)))
	return &Stream{Rand: rand.New(src), src: src}
}

// MarshalBinary returns the state of the stream.
func (s *Stream) MarshalBinary() ([]byte, error) { return s.src.MarshalBinary() }

// UnmarshalBinary restores a state that MarshalBinary gave.
func (s *Stream) UnmarshalBinary(data []byte) error { return s.src.UnmarshalBinary(data) }

// golden is 2^64 divided by the golden ratio, the increment of SplitMix64 (Steele, Lea, Flood 2014).
const golden = 0x9E3779B97F4A7C15

// mix64 is SplitMix64's finaliser.
func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// DropoutKey is the key of one optimiser step's dropout masks.
func DropoutKey(seed, step uint64) uint64 { return mix64(mix64(seed+golden) + step*golden) }

// Counter returns draw i of the counter-based stream key, uniform in [0, 1) with 24 bits. It needs no state, so every
// backend draws the same masks in any order; the oneDNN and CUDA kernels hold the same few lines.
func Counter(key, i uint64) float32 {
	return float32(mix64(key+(i+1)*golden)>>40) * (1.0 / (1 << 24))
}
