package index

import (
	"slices"
	"testing"

	"libdsl/lib/rng"
)

func TestBestKeepsWhatSortingPutsFirst(t *testing.T) {
	r := rng.New(1, "test")
	for range 300 {
		n, limit := 1+r.IntN(400), 1+r.IntN(60)
		var b, half best[float32]
		b.restart(limit)
		half.restart(limit)
		var all []scored[float32]
		for row := range n {
			m := scored[float32]{float32(r.IntN(1 + n/4)), int32(row)} // many equal scores
			all = append(all, m)
			if row < n/2 {
				b.offer(m.score, m.row)
			} else {
				half.offer(m.score, m.row)
			}
		}
		b.merge(&half)
		full, worst := b.cut()
		slices.SortFunc(all, scored[float32].compare)
		slices.SortFunc(b.items, scored[float32].compare)
		want := all[:min(limit, n)]
		if !slices.Equal(b.items, want) || full != (n >= limit) || full && worst != want[limit-1].score {
			t.Fatalf("%d of %d rows: got %v, full %v, last score %v, want %v", limit, n, b.items, full, worst, want)
		}
	}
}
