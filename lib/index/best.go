package index

import (
	"cmp"
	"math"

	"libdsl/lib/distance"
)

var minusInf = math.Inf(-1)

// scored is a row with its score.
type scored[T distance.Float] struct {
	score T
	row   int32
}

// before orders by descending score, then by row.
func (a scored[T]) before(b scored[T]) int {
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	return cmp.Compare(a.row, b.row)
}

// best keeps the limit rows that come first, in a heap whose root is the last of them.
type best[T distance.Float] struct {
	limit int
	items []scored[T]
}

// wants reports whether a row behind all that were offered would be kept.
func (b *best[T]) wants(score T) bool { return len(b.items) < b.limit || score > b.items[0].score }

// worst is the score of the last row that is kept, −Inf while all are.
func (b *best[T]) worst() T {
	if len(b.items) < b.limit {
		return T(minusInf)
	}
	return b.items[0].score
}

func (b *best[T]) offer(score T, row int32) {
	m := scored[T]{score, row}
	switch {
	case len(b.items) < b.limit:
		b.items = append(b.items, m)
		b.up()
	case m.before(b.items[0]) < 0:
		b.items[0] = m
		b.down()
	}
}

// up moves the last item to its place, down the first.
func (b *best[T]) up() {
	for i := len(b.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if b.items[i].before(b.items[parent]) < 0 {
			return
		}
		b.items[i], b.items[parent] = b.items[parent], b.items[i]
		i = parent
	}
}

func (b *best[T]) down() {
	for i := 0; ; {
		last := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(b.items); child++ {
			if b.items[child].before(b.items[last]) > 0 {
				last = child
			}
		}
		if last == i {
			return
		}
		b.items[i], b.items[last] = b.items[last], b.items[i]
		i = last
	}
}
