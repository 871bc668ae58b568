package dsl

import (
	"context"

	"libdsl/lib/cluster"
	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// ClusterOptions are those of K-means; the zero value is 5 restarts of at most 100 iterations.
type ClusterOptions struct {
	Restarts      int
	MaxIterations int
	Seed          uint64
	Threads       int
	Device        string // as in SessionOptions; a GPU assigns the rows of big arrays, in float32
}

// Clusters are what K-means found.
type Clusters struct {
	Assignment []int     // [N], 0 to K-1
	Centres    []float64 // [K, D]
	Inertia    float64   // sum of squared distances to the centres
}

// Cluster groups rows x [N, dim] into k clusters by K-means; see cluster.KMeans. Equal rows, options and seeds give equal clusters.
// Errors: Invalid, Cancelled; Device when a GPU that was asked for cannot be used.
func Cluster(ctx context.Context, x []float32, dim, k int, o ClusterOptions) (*Clusters, error) {
	if err := checkThreads(o.Threads); err != nil {
		return nil, err
	}
	if o.Restarts < 0 || o.MaxIterations < 0 {
		return nil, errs.New(errs.Invalid, "dsl: cluster: got %d restarts and %d iterations, want 0 (the default) or more", o.Restarts, o.MaxIterations)
	}
	opt := cluster.Options{K: k, Restarts: o.Restarts, MaxIter: o.MaxIterations, Threads: threads(o.Threads)}
	var err error
	if opt.Device, err = arraysOn(o.Device, cluster.Work(len(x), opt)); err != nil {
		return nil, err
	}
	r, err := cluster.KMeans(ctx, x, dim, opt, rng.New(o.Seed, "cluster"))
	if err != nil {
		return nil, err
	}
	return &Clusters{r.Assignment, r.Centres, r.Inertia}, nil
}
