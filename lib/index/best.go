package index

import "math"

var minusInf = math.Inf(-1)

// scored is a row with its score.
type scored[T float32 | float64] struct {
	score T
	row   int32
}

// before reports whether a comes first: by descending score, then by row.
func (a scored[T]) before(b scored[T]) bool {
	return a.score > b.score || a.score == b.score && a.row < b.row
}

// compare is before for sorting.
func (a scored[T]) compare(b scored[T]) int {
	if a.before(b) {
		return -1
	}
	return 1 // no row is there twice
}

// best keeps the limit rows that come first, and others until there are too many.
type best[T float32 | float64] struct {
	limit int
	items []scored[T]
	least T // a score that a row behind all that were offered must be above
}

// restart empties the list, which keeps its memory.
func (b *best[T]) restart(limit int) { b.limit, b.items, b.least = limit, b.items[:0], T(minusInf) }

// offer takes a row; the rows of a list come in ascending order, or none has the score of another.
func (b *best[T]) offer(score T, row int32) {
	if score <= b.least {
		return
	}
	if b.items = append(b.items, scored[T]{score, row}); len(b.items) >= 2*b.limit+slack {
		b.cut()
	}
}

// merge takes the rows of another list, in any order.
func (b *best[T]) merge(c *best[T]) {
	b.items = append(b.items, c.items...)
	b.cut()
}

// cut leaves the limit rows that come first, in any order. It reports whether there are so many, and the last one's score: rows left out are behind it.
func (b *best[T]) cut() (full bool, worst T) {
	if len(b.items) < b.limit {
		return false, b.least
	}
	selectFirst(b.items, b.limit)
	b.items = b.items[:b.limit]
	b.least = b.items[0].score
	for _, m := range b.items {
		b.least = min(b.least, m.score)
	}
	return true, b.least
}

// selectFirst moves the k items that come first to the front, 1 ≤ k ≤ len(items): Hoare's FIND, with the middle one of three as pivot.
func selectFirst[T float32 | float64](items []scored[T], k int) {
	for lo, hi := 0, len(items)-1; lo < hi; {
		a, pivot, c := items[lo], items[(lo+hi)/2], items[hi]
		if pivot.before(a) {
			a, pivot = pivot, a
		}
		if c.before(pivot) {
			pivot = c
		}
		if pivot.before(a) {
			pivot = a
		}
		i, j := lo, hi
		for i <= j {
			for items[i].before(pivot) {
				i++
			}
			for pivot.before(items[j]) {
				j--
			}
			if i <= j {
				items[i], items[j] = items[j], items[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k > i:
			lo = i
		default:
			return
		}
	}
}
