package metric

import (
	"cmp"
	"context"
	"math"
	"slices"

	"libdsl/lib/distance"
	"libdsl/lib/internal/simd"
)

const (
	rowsPerBlock = 256 // images that are compared with a piece's queries at a time
	sampleStride = 61  // every such image is compared first, which says about how near the nearest ones are; a prime, that no order of the images falls in step with
	leastSampled = 4096
)

// scratch is one worker's memory.
type scratch struct {
	near  simd.Queries[float64]
	hits  []simd.Hit[float64]
	lists [mostPerPiece]ranked // of a piece's queries
	keys  []float32
	sort  ranking
}

// ranked is some rows with their scores, in ascending order of the rows.
type ranked struct {
	scores []float64
	rows   []uint32
}

// queries ranks and scores the queries lo..hi-1. What is left of them after the context is cancelled is not valid.
func (s *search) queries(ctx context.Context, w *scratch, lo, hi int) {
	w.near.Turn(s.x[lo*s.dim:hi*s.dim], s.dim)
	s.ask(w, lo)
	s.collect(ctx, w)
	again := false
	for i := range w.near.Asked {
		w.near.Asked[i] = math.Inf(1)
		if l := &w.lists[i]; len(l.rows) < s.sizes.nearest(lo+i) { // the sample was misleading
			again, w.near.Asked[i] = true, math.Inf(-1)
			l.scores, l.rows = l.scores[:0], l.rows[:0]
		}
	}
	if again {
		s.collect(ctx, w)
	}
	for q := lo; q < hi && ctx.Err() == nil; q++ {
		s.query(q, w.rank(&w.lists[q-lo]))
	}
}

// ask sets each query's bound: in the sample, as large a share of scores is above it as should be among all images, three standard deviations of that more, and a few.
func (s *search) ask(w *scratch, lo int) {
	n := len(s.sampleHalf)
	w.clear()
	s.compare(w, s.sample, s.sampleHalf, 0)
	for i := range w.near.Asked {
		l, nearest := &w.lists[i], s.sizes.nearest(lo+i)
		share := float64(nearest) / float64(s.n) * float64(n)
		at := int(share + 3*math.Sqrt(share) + 3)
		switch {
		case nearest == 0:
			w.near.Asked[i] = math.Inf(1)
		case at < n:
			scores := l.scores
			order := w.rank(l) // rows of the sample are their places in it
			w.near.Asked[i] = math.Nextafter(scores[order[at]], math.Inf(-1))
		}
	}
	w.clear()
}

func (w *scratch) clear() {
	for i := range w.lists {
		w.lists[i].scores, w.lists[i].rows = w.lists[i].scores[:0], w.lists[i].rows[:0]
	}
}

// collect adds to the lists the images above the queries' bounds.
func (s *search) collect(ctx context.Context, w *scratch) {
	for at := 0; at < s.n && ctx.Err() == nil; at += rowsPerBlock {
		end := min(at+rowsPerBlock, s.n)
		s.compare(w, s.x[at*s.dim:end*s.dim], s.half[at:end], at)
	}
}

// compare adds those of some rows, the first of which has the number first, to the lists of the queries that ask for them.
func (s *search) compare(w *scratch, rows []float32, half []float64, first int) {
	for at := 0; at < len(half); at += rowsPerBlock {
		end := min(at+rowsPerBlock, len(half))
		w.hits = distance.Resize(w.hits, rowsPerBlock*mostPerPiece)
		for _, h := range w.near.Above(rows[at*s.dim:end*s.dim], half[at:end], w.hits) {
			l := &w.lists[h.Query]
			l.scores, l.rows = append(l.scores, h.Score), append(l.rows, uint32(first+at)+uint32(h.Row))
		}
	}
}

// rank orders a list by descending score, equal scores by row, and returns the rows; the result is valid until the next call. The scores are sorted in float32, and then
// those that are equal there.
func (w *scratch) rank(l *ranked) []uint32 {
	w.keys = distance.Resize(w.keys, len(l.scores))
	for i, v := range l.scores {
		w.keys[i] = float32(v)
	}
	order := w.sort.descending(w.keys)
	for from := 0; from < len(order); {
		end := from + 1
		for end < len(order) && w.keys[order[end]] == w.keys[order[from]] {
			end++
		}
		if end-from > 1 {
			slices.SortFunc(order[from:end], func(a, b uint32) int {
				return cmp.Or(cmp.Compare(l.scores[b], l.scores[a]), cmp.Compare(a, b))
			})
		}
		from = end
	}
	for i, at := range order {
		order[i] = l.rows[at]
	}
	return order
}
