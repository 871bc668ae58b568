package index

import (
	"context"
	"math"
	"slices"

	"libdsl/lib/backend"
	"libdsl/lib/distance"
	"libdsl/lib/internal/par"
)

const (
	queriesPerPiece = 15      // that share a pass over the gallery, a multiple of the kernel's three
	rowsPerBlock    = 2048    // whose products with a piece's queries are held at a time, 120 KB
	rowsPerSegment  = 1 << 14 // at least, of a task,
	mostPerSegment  = 1 << 16 // and at most, some ten milliseconds of work: cancelling waits for tasks
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
	scratch  [][]float32                   // per worker: a block's products
	tops     []best[float32]               // per segment and query of a batch
}

func (s *scan) run(ctx context.Context) error {
	if s.k == 0 {
		return nil
	}
	if s.device != nil {
		return s.runOnDevice(ctx)
	}
	workers := par.Threads(s.threads)
	s.scratch = make([][]float32, workers)
	for w := range s.scratch {
		s.scratch[w] = make([]float32, queriesPerPiece*rowsPerBlock)
	}
	total := len(s.queries) / s.dim
	batch := min(max(1, maxCandidates/(s.k+slack)), 4*workers*queriesPerPiece)
	for from := 0; from < total; from += batch {
		if err := s.batch(ctx, from, min(from+batch, total)); err != nil {
			return err
		}
	}
	return nil
}

// batch searches for the queries from..to-1. A task is a piece of them with a segment of the gallery: few queries still occupy all threads.
func (s *scan) batch(ctx context.Context, from, to int) error {
	pieces := (to - from + queriesPerPiece - 1) / queriesPerPiece
	segments := max(1, min(4*par.Threads(s.threads)/pieces, s.n/rowsPerSegment), (s.n+mostPerSegment-1)/mostPerSegment)
	limit := s.k + slack
	s.tops = make([]best[float32], segments*(to-from))
	for i := range s.tops {
		s.tops[i].limit = limit
	}
	err := par.For(ctx, pieces*segments, 1, s.threads, func(worker, task, _ int) {
		lo := from + task%pieces*queriesPerPiece
		segment := task / pieces
		s.segment(s.scratch[worker], s.tops[segment*(to-from)+lo-from:], lo, min(lo+queriesPerPiece, to), segment*s.n/segments, (segment+1)*s.n/segments)
	})
	if err != nil {
		return err
	}
	return par.For(ctx, to-from, 1, s.threads, func(_, q, _ int) {
		top := s.tops[q]
		for segment := 1; segment < segments; segment++ {
			for _, m := range s.tops[segment*(to-from)+q].items {
				top.offer(m.score, m.row)
			}
		}
		s.found(from+q, s.decide(from+q, top.items, float64(top.worst())+productError(s.dim)))
	})
}

// segment offers the rows first..last-1 to the queries lo..hi-1.
func (s *scan) segment(dots []float32, tops []best[float32], lo, hi, first, last int) {
	for at := first; at < last; at += rowsPerBlock {
		end := min(at+rowsPerBlock, last)
		distance.Products(s.queries[lo*s.dim:hi*s.dim], s.rows[at*s.dim:end*s.dim], s.dim, dots, rowsPerBlock)
		for q := lo; q < hi; q++ {
			top := &tops[q-lo]
			for i, v := range dots[(q-lo)*rowsPerBlock:][:end-at] {
				if top.wants(v) && !s.out(q, at+i) {
					top.offer(v, int32(at+i))
				}
			}
		}
	}
}

func (s *scan) out(query, row int) bool { return s.excluded != nil && s.excluded(query, row) }

// match is a row with its similarity to a query.
type match = scored[float64]

// productError is what a product of unit rows in float32 can be off by: dim roundings, and a little for the rows' rounded lengths.
func productError(dim int) float64 { return float64(dim+4) / (1 << 24) }

// decide orders the candidates by float64 products and returns the k best rows. The product of no other row is above rest; −Inf: there are no others.
func (s *scan) decide(query int, candidates []scored[float32], rest float64) []match {
	q := s.wide(query)
	out := make([]match, len(candidates))
	for i, m := range candidates {
		out[i] = match{s.product(q, int(m.row)), m.row}
	}
	slices.SortFunc(out, match.before)
	if math.IsInf(rest, -1) || len(out) >= s.k && out[s.k-1].score > rest {
		return out[:min(s.k, len(out))]
	}
	return s.all(query, q)
}

// all compares a query with every row in float64.
func (s *scan) all(query int, q []float64) []match {
	top := best[float64]{limit: s.k}
	for i := range s.n {
		if v := s.product(q, i); top.wants(v) && !s.out(query, i) {
			top.offer(v, int32(i))
		}
	}
	slices.SortFunc(top.items, match.before)
	return top.items
}

func (s *scan) wide(query int) []float64 {
	out := make([]float64, s.dim)
	for i, v := range s.queries[query*s.dim : (query+1)*s.dim] {
		out[i] = float64(v)
	}
	return out
}

func (s *scan) product(q []float64, row int) (sum float64) {
	for i, v := range s.rows[row*s.dim : (row+1)*s.dim] {
		sum += q[i] * float64(v)
	}
	return sum
}
