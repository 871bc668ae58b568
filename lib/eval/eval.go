// Package eval scores embeddings: how well their clusters and their neighbourhoods match the labels.
package eval

import (
	"context"
	"fmt"

	"libdsl/lib/cluster"
	"libdsl/lib/errs"
	"libdsl/lib/metric"
	"libdsl/lib/rng"
)

// Seeds is the number of seeded K-means runs that NMI and AMI are the mean of.
const Seeds = 3

// Report holds the scores of one set of images.
type Report struct {
	Images  int
	Classes int
	NMI     float64 // [0, 1]
	AMI     float64 // at most 1, about 0 by chance
	metric.Retrieval
}

// Score evaluates rows x [N, dim], labels [N] and groups [N] (nil for none; negative: no group). Clusters are K-means with as many
// clusters as classes. With a device it finds clusters and distances. Errors: Invalid for shapes, fewer than two images or one class only; Cancelled.
func Score(ctx context.Context, x []float32, dim int, labels, groups []int64, o metric.Options) (*Report, error) {
	if len(labels) < 2 {
		return nil, errs.New(errs.Invalid, "eval: got %d images, want 2 or more", len(labels))
	}
	r := &Report{Images: len(labels), Classes: classes(labels)}
	if r.Classes < 2 {
		return nil, errs.New(errs.Invalid, "eval: all %d images have one class; scores need two or more", len(labels))
	}
	for s := range Seeds {
		stream := rng.New(uint64(s), fmt.Sprintf("metric/nmi/%d", s))
		res, err := cluster.KMeans(ctx, x, dim, cluster.Options{K: r.Classes, Threads: o.Threads, Device: o.Device}, stream)
		if err != nil {
			return nil, err
		}
		nmi, err := metric.NMI(labels, res.Assignment)
		if err != nil {
			return nil, err
		}
		ami, err := metric.AMI(labels, res.Assignment)
		if err != nil {
			return nil, err
		}
		r.NMI += nmi / Seeds
		r.AMI += ami / Seeds
	}
	found, err := metric.Retrieve(ctx, x, dim, labels, groups, o)
	if err != nil {
		return nil, err
	}
	r.Retrieval = *found
	return r, nil
}

// Work is about how many multiply-adds Score takes for rows x [N, dim]: all pairs, and K-means for each of the seeds.
func Work(x []float32, labels []int64) float64 {
	return float64(len(x))*float64(len(labels)) + Seeds*cluster.Work(len(x), cluster.Options{K: classes(labels)})
}

func classes(labels []int64) int {
	seen := map[int64]bool{}
	for _, l := range labels {
		seen[l] = true
	}
	return len(seen)
}
