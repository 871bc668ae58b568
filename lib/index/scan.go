package index

import (
	"context"
	"math"
	"slices"

	"libdsl/lib/backend"
	"libdsl/lib/distance"
	"libdsl/lib/internal/par"
	"libdsl/lib/internal/simd"
)

const (
	queriesPerPiece = 96      // that share a pass over the gallery, whole tiles of every build,
	numbersPerPiece = 1 << 15 // of which there are at most so many, but for one vector of queries: they stay in the second-level cache
	rowsPerBlock    = 256     // that are compared with a piece's queries at a time
	rowsPerSegment  = 1 << 14 // at least, of a task,
	mostPerSegment  = 1 << 16 // and at most
	slack           = 16      // candidates beyond k: float32 hardly ever confuses more rows
	maxCandidates   = 1 << 22 // of all queries of a batch
)

// scan is one search under way: float32 products choose k + slack candidates of each query, float64 products decide among them. Where the last
// candidate is as near to the k-th neighbour as float32 can be wrong by, float64 products of all rows decide.
type scan struct {
	*part
	device   backend.Array // nil: the CPU finds the candidates
	queries  []float32     // [Q, dim], unit rows
	k        int           // at most n
	threads  int
	excluded func(query, row int) bool     // nil: none is
	found    func(query int, best []match) // takes a query's neighbours
	piece    int                           // queries that share a pass
	scratch  []scratch                     // per worker
	tops     []best[float32]               // per segment and query of a batch
}

// scratch is one worker's memory.
type scratch struct {
	queries simd.Queries[float32]
	hits    []simd.Hit[float32] // [rowsPerBlock·piece]
	query   []float64           // [dim], the one that is decided on
	rows    []int32             // its candidates
	scores  []float64           // [rowsPerBlock], or as many as there are candidates
}

func (s *scan) run(ctx context.Context) error {
	if s.k == 0 {
		return nil
	}
	workers := par.Threads(s.threads)
	s.scratch = make([]scratch, workers)
	if s.device != nil {
		return s.runOnDevice(ctx)
	}
	const lanes = 16 // of the widest build
	total := len(s.queries) / s.dim
	s.piece = min(queriesPerPiece, max(lanes, numbersPerPiece/s.dim/lanes*lanes), total)
	batch := min(batchOf(s.n, s.k), 4*workers*s.piece)
	for from := 0; from < total; from += batch {
		if err := s.batch(ctx, from, min(from+batch, total)); err != nil {
			return err
		}
	}
	return nil
}

// batchOf is the most queries of a batch: each keeps up to twice its candidates for each segment of a gallery of n rows.
func batchOf(n, k int) int {
	segments := (n + mostPerSegment - 1) / mostPerSegment
	return max(1, maxCandidates/(2*(k+slack)*segments))
}

// batch searches for the queries from..to-1. A task is a piece of them with a segment of the gallery: few queries still occupy all threads.
func (s *scan) batch(ctx context.Context, from, to int) error {
	pieces := (to - from + s.piece - 1) / s.piece
	segments := max(1, min(4*par.Threads(s.threads)/pieces, s.n/rowsPerSegment), (s.n+mostPerSegment-1)/mostPerSegment)
	s.tops = distance.Resize(s.tops, segments*(to-from))
	for i := range s.tops {
		s.tops[i].restart(s.k + slack)
	}
	err := par.For(ctx, pieces*segments, 1, s.threads, func(worker, task, _ int) {
		lo := from + task%pieces*s.piece
		segment := task / pieces
		s.segment(ctx, &s.scratch[worker], s.tops[segment*(to-from)+lo-from:], lo, min(lo+s.piece, to), segment*s.n/segments, (segment+1)*s.n/segments)
	})
	if err != nil {
		return err
	}
	return par.For(ctx, to-from, 1, s.threads, func(worker, q, _ int) {
		top := &s.tops[q]
		for segment := 1; segment < segments; segment++ {
			top.merge(&s.tops[segment*(to-from)+q])
		}
		rest := minusInf
		if full, worst := top.cut(); full {
			rest = float64(worst) + productError(s.dim)
		}
		s.found(from+q, s.decide(ctx, &s.scratch[worker], from+q, top.items, rest))
	})
}

// segment offers the rows first..last-1 to the queries lo..hi-1.
func (s *scan) segment(ctx context.Context, w *scratch, tops []best[float32], lo, hi, first, last int) {
	w.queries.Turn(s.queries[lo*s.dim:hi*s.dim], s.dim)
	w.hits = distance.Resize(w.hits, rowsPerBlock*s.piece)
	for at := first; at < last && ctx.Err() == nil; at += rowsPerBlock {
		end := min(at+rowsPerBlock, last)
		for _, h := range w.queries.Above(s.rows[at*s.dim:end*s.dim], nil, w.hits) {
			if row := at + int(h.Row); !s.out(lo+int(h.Query), row) {
				tops[h.Query].offer(h.Score, int32(row))
			}
		}
		for q := range w.queries.Asked {
			w.queries.Asked[q] = tops[q].least
		}
	}
}

func (s *scan) out(query, row int) bool { return s.excluded != nil && s.excluded(query, row) }

// match is a row with its similarity to a query.
type match = scored[float64]

// productError bounds how far a product of two rows in float32 is from the exact one: with u = 2⁻²⁴ and lengths below 1 + 1e-5, which Read sees to,
//
//	|fl(⟨x, y⟩) − ⟨x, y⟩| ≤ γ·Σ|x_c·y_c| ≤ γ·‖x‖·‖y‖,  γ = dim·u/(1 − dim·u)
//
// for a sum of dim products in any order, each product and sum rounded; fused ones round less (Higham, Accuracy and Stability of Numerical Algorithms,
// 2nd ed. 2002, eq. 3.5; Cauchy and Schwarz). Of numbers below 2⁻¹²⁶, which are taken for 0, each of the dim steps has three at most: a product, a factor of one and of
// the other row, whose partner is below 2. The roundings of the float64 products that are compared with it, 2⁻²⁹ times as large, are in the 1e-4 more.
func productError(dim int) float64 {
	du := float64(dim) * 0x1p-24
	return 1.0001*du/(1-du) + float64(dim)*0x1p-123
}

// decide orders the candidates by float64 products and returns the k best rows. The product of no other row is above rest; −Inf: there are no others.
// The result is not valid after the context is cancelled.
func (s *scan) decide(ctx context.Context, w *scratch, query int, candidates []scored[float32], rest float64) []match {
	w.query, w.rows, w.scores = distance.Resize(w.query, s.dim), w.rows[:0], distance.Resize(w.scores, max(rowsPerBlock, len(candidates)))
	for i, v := range s.queries[query*s.dim : (query+1)*s.dim] {
		w.query[i] = float64(v)
	}
	for _, m := range candidates {
		w.rows = append(w.rows, m.row)
	}
	simd.WideDotsAt(s.rows, w.rows, w.query, w.scores)
	out := make([]match, len(candidates))
	for i, row := range w.rows {
		out[i] = match{w.scores[i], row}
	}
	slices.SortFunc(out, match.compare)
	if math.IsInf(rest, -1) || len(out) >= s.k && out[s.k-1].score > rest {
		return out[:min(s.k, len(out))]
	}
	return s.all(ctx, w, query)
}

// all compares w.query with every row in float64.
func (s *scan) all(ctx context.Context, w *scratch, query int) []match {
	var top best[float64]
	top.restart(s.k)
	for at := 0; at < s.n && ctx.Err() == nil; at += rowsPerBlock {
		end := min(at+rowsPerBlock, s.n)
		simd.WideDots(s.rows[at*s.dim:end*s.dim], s.dim, w.query, w.scores)
		for i, v := range w.scores[:end-at] {
			if v > top.least && !s.out(query, at+i) {
				top.offer(v, int32(at+i))
			}
		}
	}
	top.cut()
	slices.SortFunc(top.items, match.compare)
	return top.items
}
