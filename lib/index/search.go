package index

import (
	"context"
	"math"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
)

// AllLearners compares whole embeddings.
const AllLearners = -1

// Search says what to look for.
type Search struct {
	K       int      // neighbours of a query, 1 or more
	Learner int      // 0 to K-1, or AllLearners
	IDs     IDs      // of the Q queries: rows with a query's id are left out; none: no row is
	Groups  []string // of the Q queries: rows of a query's group are left out, but for ""; nil: no row is
	Threads int      // 0: one per core

	// Device finds the candidates, up to backend.MaxNeighbours of a query; nil: the CPU does, as it does for more. The device keeps its copy of the rows
	// until rows are added or the index is closed.
	Device backend.ArrayBackend
}

// Neighbours are the K most similar rows of each query, the most similar first; of equally similar rows that with the lowest number comes first.
// Where fewer rows are left, a list ends in rows -1 with similarity −Inf.
type Neighbours struct {
	Rows         []int64   // [Q, K]
	Similarities []float32 // [Q, K], the cosine, in [-1, 1] up to rounding
}

// Search finds the rows most similar to queries [Q, D], which are brought to unit length: the cosine of the whole rows, or of learner's unit parts
// z_k, where a part of zeros has similarity 0 to all. float32 products find the candidates and float64 ones decide:
// results are those of sorting all rows by float64 products, similarities are these rounded to float32.
//
// Memory beside the result is bounded by a megabyte per thread, some 64 MB of candidates (more only where one query's alone, 16·K bytes for each 65,536
// rows, are more), and the learner's part of the gallery, [N, |N_k|] float32, which is kept.
//
// Errors: errs.Invalid for K or learner out of range, shapes that disagree, ids of the other kind than the gallery's, rows that are zero or not
// finite; errs.Cancelled.
func (x *Index) Search(ctx context.Context, queries []float32, s Search) (*Neighbours, error) {
	if len(queries) == 0 {
		return &Neighbours{}, s.check(x, 0)
	}
	q, err := unit(queries, x.opt.Dim)
	if err != nil {
		return nil, err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := len(q) / x.opt.Dim
	if err := s.check(x, n); err != nil {
		return nil, err
	}
	p, err := x.parts.of(x, s.Learner)
	if err != nil {
		return nil, err
	}
	var device backend.Array
	if s.Device != nil && p.n > 0 && s.K+slack <= backend.MaxNeighbours {
		if device, err = x.parts.on(s.Device, p); err != nil {
			return nil, err
		}
	}
	if s.Learner != AllLearners {
		if q, err = x.project(q, s.Learner); err != nil {
			return nil, err
		}
	}
	out := newNeighbours(n, s.K)
	job := &scan{part: p, device: device, queries: q, k: min(s.K, p.n), threads: s.Threads, excluded: x.excluded(s),
		found: func(query int, best []match) { out.set(query, s.K, best) }}
	return out, job.run(ctx)
}

func (s *Search) check(x *Index, n int) error {
	if s.K < 1 || s.K > maxRows {
		return errs.New(errs.Invalid, "index: k: got %d neighbours, want 1 or more", s.K)
	}
	if s.Learner != AllLearners && (s.Learner < 0 || s.Learner >= x.NumLearners()) {
		return errs.New(errs.Invalid, "index: learner: got %d of %d learners; %d is the whole embedding", s.Learner, x.NumLearners(), AllLearners)
	}
	if err := s.IDs.check(n); err != nil {
		return err
	}
	if s.IDs.Len() > 0 && len(x.labels) > 0 && (s.IDs.Texts == nil) != (x.ids.Texts == nil) {
		return errs.New(errs.Invalid, "index: ids of queries: got another kind than the gallery's, want texts or numbers in both")
	}
	if s.Groups != nil && len(s.Groups) != n {
		return errs.New(errs.Invalid, "index: got %d groups for %d queries, want as many or none", len(s.Groups), n)
	}
	return nil
}

// excluded tells whether a query leaves a row out.
func (x *Index) excluded(s Search) func(query, row int) bool {
	if s.IDs.Len() == 0 && s.Groups == nil {
		return nil
	}
	return func(query, row int) bool {
		return s.IDs.Len() > 0 && x.ids.same(row, s.IDs, query) || s.Groups != nil && s.Groups[query] != "" && s.Groups[query] == x.groups[row]
	}
}

func newNeighbours(n, k int) *Neighbours {
	out := &Neighbours{Rows: make([]int64, n*k), Similarities: make([]float32, n*k)}
	for i := range out.Rows {
		out.Rows[i], out.Similarities[i] = -1, float32(math.Inf(-1))
	}
	return out
}

func (out *Neighbours) set(query, k int, best []match) {
	for i, m := range best {
		out.Rows[query*k+i], out.Similarities[query*k+i] = int64(m.row), float32(m.score)
	}
}

// project is a learner's unit part of rows.
func (x *Index) project(rows []float32, learner int) ([]float32, error) {
	out := make([]float32, len(rows)/x.opt.Dim*len(x.opt.Learners.Subspace(learner)))
	if len(out) == 0 {
		return out, nil
	}
	return out, x.opt.Learners.Project(rows, learner, out)
}
