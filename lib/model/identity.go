package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Identity is a digest of all that an embedding depends on: architecture, head, input size, learners and weights, in hexadecimal digits. Two models
// of one identity embed alike; class names and model card do not count. It takes about as long as reading the weights.
func (m *Model) Identity() string {
	h := sha256.New()
	fmt.Fprintf(h, "dsl model 1\n%q %q %q %d %q %d %v %v\n", m.Arch.Backbone, m.Arch.Stem, m.Arch.Attention, m.Arch.EmbeddingDim, m.Head, m.InputSize, Mean, Std)
	fmt.Fprintf(h, "%v\n", m.Learners.Subspaces())
	var block []byte
	for _, name := range slices.Sorted(maps.Keys(m.Weights)) {
		values := m.Weights[name]
		fmt.Fprintf(h, "%q %d\n", name, len(values))
		for at := 0; at < len(values); at += hashBlock {
			block = block[:0]
			for _, v := range values[at:min(at+hashBlock, len(values))] {
				block = binary.LittleEndian.AppendUint32(block, math.Float32bits(v))
			}
			h.Write(block)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashBlock is the number of weights that go into the digest at a time.
const hashBlock = 1 << 14
