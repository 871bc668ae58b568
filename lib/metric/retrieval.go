package metric

import (
	"context"
	"math"

	"libdsl/lib/backend"
	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/internal/par"
	"libdsl/lib/internal/simd"
)

// N images, D embedding dimension, R the number of relevant images of a query.

// Ks are the k of recall@k.
var Ks = [4]int{1, 2, 4, 8}

// Scores of retrieval, each in [0, 1].
type Scores struct {
	RecallAtK  [4]float64 // for the k of Ks: share of queries with the label among the k nearest
	RPrecision float64    // share of relevant images among the R nearest
	MAPAtR     float64    // mean over the ranks i ≤ R of (image i is relevant)·(precision at i), summed, divided by R
}

// Averages of the scores of one way to exclude.
type Averages struct {
	Micro   Scores // mean over queries
	Macro   Scores // mean over classes of the mean over the class's queries
	Queries int    // queries averaged
	Dropped int    // queries left without any relevant image, in no average
}

// Options say where to compute; results are the same everywhere, but for rows that are about equally far.
type Options struct {
	Threads int                  // 0: one per core
	Device  backend.ArrayBackend // that computes the distances; nil: the CPU does
}

// Retrieval holds the scores of a whole set of images that query each other.
type Retrieval struct {
	SelfExcluded  Averages
	GroupExcluded *Averages // also without the query's whole group; nil without groups
}

// Retrieve lets each row of x [N, dim] query all others by Euclidean distance and scores the ranking by labels [N].
// The query itself is excluded; with groups [N] (patient, lesion, study; negative: none), every score is also given with
// the query's whole group excluded. Ties go to the lowest index.
//
// Distances are float64's. A device's are float32's: there rows of unit length nearer to each other than about 1e-3 may swap.
// Memory is about 16 bytes for each of the images that a few queries should find, per thread, some 64 MB unless one query's take more, and a 61st of x; with a device
// O(N·deviceQueries) in all. The result does not depend on threads.
// Errors: errs.Invalid for shapes that disagree, no row, or a row that is not finite, with a device also for one longer than 4e18; errs.Cancelled.
// Sources: R-precision and MAP@R as in Musgrave, Belongie and Lim, ECCV 2020.
func Retrieve(ctx context.Context, x []float32, dim int, labels, groups []int64, o Options) (*Retrieval, error) {
	if err := distance.CheckRows("metric: retrieval", x, dim); err != nil {
		return nil, err
	}
	n := len(x) / dim
	if len(labels) != n || groups != nil && len(groups) != n {
		return nil, errs.New(errs.Invalid, "metric: retrieval: got %d labels and %d groups, want %d labels and as many groups or none",
			len(labels), len(groups), n)
	}
	s, err := newSearch(ctx, x, dim, labels, groups, par.Threads(o.Threads))
	if err != nil {
		return nil, err
	}
	for i, h := range s.half {
		if o.Device != nil && !(h < 1e37) { // the scores must stay below float32's 3.4e38
			return nil, errs.New(errs.Invalid, "metric: retrieval: row %d: got length %.3g, want less than 4e18", i, math.Sqrt(2*h))
		}
	}
	if err := s.run(ctx, o); err != nil {
		return nil, err
	}
	out := &Retrieval{SelfExcluded: average(s.self, labels)}
	if groups != nil {
		a := average(s.group, labels)
		out.GroupExcluded = &a
	}
	return out, nil
}

// search is one retrieval under way.
type search struct {
	x              []float32
	n, dim         int
	labels, groups []int64
	half           []float64 // [N], half the squared lengths: ⟨q, x⟩ − ‖x‖²/2 ranks as −‖q − x‖ does
	sizes          extents
	sample         []float32 // [N/sampleStride, dim], some of the rows
	sampleHalf     []float64 // of them
	self, group    []outcome // [N], one per query
	scratch        []scratch
}

// outcome is one query's scores; relevant = 0 drops it.
type outcome struct {
	relevant int
	scores   Scores
}

func newSearch(ctx context.Context, x []float32, dim int, labels, groups []int64, workers int) (*search, error) {
	n := len(x) / dim
	s := &search{x: x, n: n, dim: dim, labels: labels, groups: groups, half: make([]float64, n), sizes: newExtents(labels, groups),
		self: make([]outcome, n), scratch: make([]scratch, workers)}
	err := par.For(ctx, n, rowsPerBlock, workers, func(_, lo, hi int) {
		simd.Squares(x[lo*dim:hi*dim], dim, s.half[lo:hi])
		for i := range s.half[lo:hi] {
			s.half[lo+i] /= 2
		}
	})
	if err != nil {
		return nil, err
	}
	for i := 0; n >= leastSampled && i < n; i += sampleStride {
		s.sample, s.sampleHalf = append(s.sample, x[i*dim:(i+1)*dim]...), append(s.sampleHalf, s.half[i])
	}
	if groups != nil {
		s.group = make([]outcome, n)
	}
	return s, nil
}

// run lets all rows query.
func (s *search) run(ctx context.Context, o Options) error {
	if o.Device != nil {
		return s.runOnDevice(ctx, o)
	}
	return par.For(ctx, s.n, s.sizes.queriesPerPiece(s.n), o.Threads, func(worker, lo, hi int) { s.queries(ctx, &s.scratch[worker], lo, hi) })
}

// deviceQueries is the number of queries whose distances come from a device at a time.
const deviceQueries = 64

// runOnDevice takes distances from the device; sorting is the CPU's.
func (s *search) runOnDevice(ctx context.Context, o Options) error {
	rows, err := o.Device.NewArray(s.x, s.dim)
	if err != nil {
		return err
	}
	defer rows.Close()
	squared := make([]float32, min(s.n, deviceQueries)*s.n)
	for lo := 0; lo < s.n; lo += deviceQueries {
		hi := min(lo+deviceQueries, s.n)
		part := squared[:(hi-lo)*s.n]
		if err := rows.Distances(ctx, s.x[lo*s.dim:hi*s.dim], part); err != nil {
			return err
		}
		err := par.For(ctx, hi-lo, 1, o.Threads, func(worker, q, _ int) {
			nearness := part[q*s.n : (q+1)*s.n]
			for i, d := range nearness {
				nearness[i] = -d
			}
			s.query(lo+q, s.scratch[worker].sort.descending(nearness))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// query scores query q, given the nearest rows in order, as many of them as the scores depend on.
func (s *search) query(q int, order []uint32) {
	s.self[q] = s.judge(order, q, false)
	if s.groups != nil {
		s.group[q] = s.judge(order, q, true)
	}
}

// judge walks down a ranking and scores it for query q.
func (s *search) judge(order []uint32, q int, wholeGroup bool) outcome {
	o := outcome{relevant: s.sizes.relevant(q, wholeGroup)}
	if o.relevant == 0 {
		return o
	}
	label, rank, hits, first := s.labels[q], 0, 0, 0
	var precision float64
	for _, id := range order {
		i := int(id)
		if i == q || wholeGroup && s.groups[q] >= 0 && s.groups[i] == s.groups[q] {
			continue
		}
		if rank++; rank > max(o.relevant, Ks[len(Ks)-1]) {
			break
		}
		if s.labels[i] != label {
			continue
		}
		if first == 0 {
			first = rank
		}
		if rank <= o.relevant {
			hits++
			precision += float64(hits) / float64(rank)
		}
	}
	for j, k := range Ks {
		if first > 0 && first <= k {
			o.scores.RecallAtK[j] = 1
		}
	}
	o.scores.RPrecision = float64(hits) / float64(o.relevant)
	o.scores.MAPAtR = precision / float64(o.relevant)
	return o
}

// average takes the means over queries and over classes. Without any query all scores are 0.
func average(outcomes []outcome, labels []int64) Averages {
	ids, counts := number(labels)
	byClass := make([]Scores, len(counts))
	clear(counts)
	var a Averages
	for q, o := range outcomes {
		if o.relevant == 0 {
			a.Dropped++
			continue
		}
		a.Queries++
		counts[ids[q]]++
		a.Micro.add(o.scores, 1)
		byClass[ids[q]].add(o.scores, 1)
	}
	classes := 0
	for c, count := range counts {
		if count > 0 {
			classes++
			a.Macro.add(byClass[c], 1/float64(count))
		}
	}
	if classes > 0 {
		a.Micro = a.Micro.times(1 / float64(a.Queries))
		a.Macro = a.Macro.times(1 / float64(classes))
	}
	return a
}

// add adds w times t.
func (s *Scores) add(t Scores, w float64) {
	for j := range s.RecallAtK {
		s.RecallAtK[j] += w * t.RecallAtK[j]
	}
	s.RPrecision += w * t.RPrecision
	s.MAPAtR += w * t.MAPAtR
}

func (s Scores) times(w float64) (out Scores) {
	out.add(s, w)
	return out
}
