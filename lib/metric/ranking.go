package metric

import (
	"math"

	"libdsl/lib/distance"
)

// ranking sorts scores, reusing its buffers. It has one user at a time.
type ranking struct{ a, b column }

// column is a list of sort keys with the indices that they belong to.
type column struct{ keys, ids []uint32 }

// digitBits is the width of a radix-sort digit: three passes over 32-bit keys, with counts that fit the first-level cache.
const digitBits = 11

// descending returns the indices of scores from the highest down, equal scores by lowest index; the result is valid until the
// next call. It is a least-significant-digit radix sort, about five times faster here than slices.Sort.
func (r *ranking) descending(scores []float32) []uint32 {
	for _, c := range []*column{&r.a, &r.b} {
		c.keys, c.ids = distance.Resize(c.keys, len(scores)), distance.Resize(c.ids, len(scores))
	}
	var counts [3][1 << digitBits]uint32
	from, to := r.a, r.b
	for i, v := range scores {
		k := descendingKey(v)
		from.keys[i], from.ids[i] = k, uint32(i)
		counts[0][k%(1<<digitBits)]++
		counts[1][k>>digitBits%(1<<digitBits)]++
		counts[2][k>>(2*digitBits)]++
	}
	for pass := range counts {
		count := &counts[pass]
		var sum uint32
		for d, c := range count {
			count[d] = sum
			sum += c
		}
		shift := pass * digitBits
		for i, k := range from.keys {
			d := k >> shift % (1 << digitBits)
			to.keys[count[d]], to.ids[count[d]] = k, from.ids[i]
			count[d]++
		}
		from, to = to, from
	}
	return from.ids
}

// descendingKey maps finite numbers to integers in the opposite order; 0 and -0 are equal.
func descendingKey(v float32) uint32 {
	b := math.Float32bits(v + 0) // -0 + 0 is 0
	if b>>31 != 0 {
		return b
	}
	return ^b &^ (1 << 31)
}
