// Command points is libdsl's side of the benchmark's work on embeddings: K-means, nearest neighbours, scores. It reads rows from FOLDER/rows.f32, or draws them,
// computes once, says how long that took and what it found, and takes its turns (package turns).
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"libdsl/lib/cluster"
	"libdsl/lib/errs"
	"libdsl/lib/eval"
	"libdsl/lib/index"
	"libdsl/lib/metric"
	"libdsl/lib/rng"
	"libdsl/tests/internal/turns"
)

// points are rows [N, dim] and what to do with them.
type points struct {
	dir        string
	x          []float32
	dim        int
	k          int
	restarts   int
	iterations int
	queries    int
	threads    int
}

// found is what is said of the first run.
type found struct {
	Seconds    float64 `json:"seconds"`
	Inertia    float64 `json:"inertia,omitempty"`
	Iterations int     `json:"iterations,omitempty"`
}

func main() {
	var p points
	task := flag.String("task", "kmeans", "kmeans, iterations (the time of one), search or score")
	flag.IntVar(&p.dim, "dim", 128, "numbers of a row")
	flag.IntVar(&p.k, "k", 8, "clusters, neighbours or classes")
	flag.IntVar(&p.restarts, "restarts", 5, "of K-means")
	flag.IntVar(&p.iterations, "iterations", 100, "of a restart at most; of the task iterations: exactly")
	flag.IntVar(&p.queries, "queries", 0, "search for the first so many rows only")
	flag.IntVar(&p.threads, "threads", 1, "CPU threads")
	drawn := flag.Int("drawn", 0, "draw so many rows instead of reading them")
	flag.Parse()
	p.dir = flag.Arg(0)
	if err := p.run(*task, *drawn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (p *points) run(task string, drawn int) (err error) {
	if drawn > 0 {
		p.x = draw(drawn * p.dim)
	} else if p.x, err = readFloats(filepath.Join(p.dir, "rows.f32")); err != nil {
		return err
	}
	switch task {
	case "kmeans":
		return p.kmeans()
	case "iterations":
		return p.oneIteration()
	case "search":
		return p.search()
	case "score":
		return p.score()
	}
	return errs.New(errs.Invalid, "points: task: got %q, want kmeans, iterations, search or score", task)
}

func (p *points) cluster(restarts, iterations int) (*cluster.Result, error) {
	o := cluster.Options{K: p.k, Restarts: restarts, MaxIter: iterations, Threads: p.threads}
	return cluster.KMeans(context.Background(), p.x, p.dim, o, rng.New(0, "bench"))
}

func (p *points) kmeans() error {
	var r *cluster.Result
	run := turns.Repeat(func() (err error) {
		r, err = p.cluster(p.restarts, p.iterations)
		return err
	})
	took, err := run(1)
	if err != nil {
		return err
	}
	return turns.Serve(os.Stdin, os.Stdout, found{took.Seconds(), r.Inertia, r.Iterations}, run)
}

// few iterations of one restart are taken off, with all that comes before them.
const few = 5

// oneIteration times K-means with the iterations asked for and with few, from the same start: the difference, divided, is an iteration.
func (p *points) oneIteration() error {
	r, err := p.cluster(1, p.iterations)
	if err != nil {
		return err
	}
	if r.Iterations != p.iterations {
		return errs.New(errs.Invalid, "points: K-means ended after %d iterations, want rows that take more than %d", r.Iterations, p.iterations)
	}
	return turns.Serve(os.Stdin, os.Stdout, found{Inertia: r.Inertia, Iterations: r.Iterations}, func(n int) (time.Duration, error) {
		run := func(iterations int) (time.Duration, error) {
			return turns.Repeat(func() error { _, err := p.cluster(1, iterations); return err })(n)
		}
		start, err := run(few)
		if err != nil {
			return 0, err
		}
		all, err := run(p.iterations)
		return (all - start) / time.Duration(p.iterations-few), err
	})
}

func (p *points) search() error {
	queries := p.x
	if p.queries > 0 {
		queries = p.x[:p.queries*p.dim]
	}
	var nearest *index.Neighbours
	run := turns.Repeat(func() error {
		gallery, err := index.New(index.Options{Dim: p.dim})
		if err != nil {
			return err
		}
		defer gallery.Close()
		if err := gallery.Add(index.Items{Embeddings: p.x}); err != nil {
			return err
		}
		nearest, err = gallery.Search(context.Background(), queries, index.Search{K: p.k, Learner: index.AllLearners, Threads: p.threads})
		return err
	})
	took, err := run(1)
	if err != nil {
		return err
	}
	if err := writeRows(filepath.Join(p.dir, "libdsl.i64"), nearest.Rows); err != nil {
		return err
	}
	return turns.Serve(os.Stdin, os.Stdout, found{Seconds: took.Seconds()}, run)
}

// score evaluates rows of k classes, row i of class i mod k.
func (p *points) score() error {
	labels := make([]int64, len(p.x)/p.dim)
	for i := range labels {
		labels[i] = int64(i % p.k)
	}
	run := turns.Repeat(func() error {
		_, err := eval.Score(context.Background(), p.x, p.dim, labels, nil, metric.Options{Threads: p.threads})
		return err
	})
	took, err := run(1)
	if err != nil {
		return err
	}
	return turns.Serve(os.Stdin, os.Stdout, found{Seconds: took.Seconds()}, run)
}

// draw makes numbers between -1 and 1.
func draw(n int) []float32 {
	noise, x := rng.New(0, "bench/rows"), make([]float32, n)
	for i := range x {
		x[i] = 2*noise.Float32() - 1
	}
	return x
}

func readFloats(path string) ([]float32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Wrap(errs.IO, err, "points: %s", filepath.Base(path))
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}

func writeRows(path string, rows []int64) error {
	raw := make([]byte, 0, 8*len(rows))
	for _, v := range rows {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return errs.Wrap(errs.IO, err, "points: %s", filepath.Base(path))
	}
	return nil
}
