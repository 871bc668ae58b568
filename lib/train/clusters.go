package train

import (
	"context"
	"fmt"

	"libdsl/lib/backend"
	"libdsl/lib/cluster"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// clusters is a grouping of the training images; learner k trains on members[k].
type clusters struct {
	whole    bool    // one cluster of all images
	epoch    int     // when it was made
	assigned []int   // cluster of each training image, also of those that sit out; kept for relabelling
	members  [][]int // dataset indices
	usable   []int   // clusters with two classes or more
	samplers []*sampler
}

func (c *clusters) numClusters() int { return len(c.members) }

// wholeCluster is all training images in one cluster. It keeps the last assignment; the first is that of learner 0, so that after a first growth
// the larger cluster stays with the learner that all images trained.
func (t *Trainer) wholeCluster() (clusters, error) {
	c := clusters{whole: true, epoch: t.epoch, assigned: t.current.assigned, members: [][]int{t.data.train}, usable: []int{0}}
	if c.assigned == nil {
		c.assigned = make([]int, len(t.data.train))
	}
	var err error
	if c.samplers, err = t.samplersOf(c.members); err != nil {
		return c, err
	}
	return c, nil
}

// samplersOf makes a sampler for each cluster, nil for one with a single class.
func (t *Trainer) samplersOf(members [][]int) ([]*sampler, error) {
	out := make([]*sampler, len(members))
	for k, m := range members {
		var err error
		if out[k], err = t.data.sampler(m, rng.New(t.o.Seed, fmt.Sprintf("sampler/%d/%d", t.epoch, k))); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// samplerStates are the samplers' states by cluster, nil where there is none.
func (c *clusters) samplerStates() ([][]byte, error) {
	out := make([][]byte, len(c.samplers))
	for _, k := range c.usable {
		var err error
		if out[k], err = c.samplers[k].MarshalBinary(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recluster embeds the training images, groups them by K-means into as many clusters as learners, and renumbers the clusters so that
// as few images as possible change learner.
func (t *Trainer) recluster(ctx context.Context) error {
	if !t.regrouping {
		t.tell.note(t, "grouping the training images")
	}
	t.regrouping = false
	x, dim, err := t.embedTraining(ctx)
	if err != nil {
		return err
	}
	k := t.set.NumLearners()
	stream := rng.New(t.o.Seed, fmt.Sprintf("cluster/%d", t.epoch))
	o := cluster.Options{K: k, Threads: t.o.Threads}
	o.Device = backend.Arrays(t.backend, cluster.Work(len(x), o))
	found, err := cluster.KMeans(ctx, x, dim, o, stream)
	if err != nil {
		return err
	}
	assigned, moved, err := cluster.Relabel(t.current.assigned, found.Assignment, k)
	if err != nil {
		return err
	}
	c := clusters{epoch: t.epoch, assigned: assigned, members: make([][]int, k)}
	out := t.fillMembers(&c)
	if c.samplers, err = t.samplersOf(c.members); err != nil {
		return err
	}
	for k, s := range c.samplers {
		if s != nil {
			c.usable = append(c.usable, k)
		}
	}
	t.current = c
	t.tell.clustered(t, &c, moved, out)
	if len(c.usable) == 0 {
		t.tell.note(t, "no cluster has two classes; this epoch trains the whole embedding on all images")
		t.current, err = t.wholeCluster()
	}
	return err
}

// fillMembers lists the images of each cluster without those that are alone of their class there, and returns how many those are.
func (t *Trainer) fillMembers(c *clusters) (out int) {
	type cell struct {
		cluster int
		label   int64
	}
	count := map[cell]int{}
	for i, k := range c.assigned {
		count[cell{k, t.data.label(t.data.train[i])}]++
	}
	for i, k := range c.assigned {
		image := t.data.train[i]
		if count[cell{k, t.data.label(image)}] < 2 {
			out++
			continue
		}
		c.members[k] = append(c.members[k], image)
	}
	return out
}

// embedTraining gives the vectors that are clustered: the whole unit embedding or the unit penultimate vector, in the evaluation transform.
func (t *Trainer) embedTraining(ctx context.Context) (x []float32, dim int, err error) {
	return t.embed(ctx, t.data.train, t.o.ClusterSpace)
}

// embed computes the unit vectors of images in a space.
func (t *Trainer) embed(ctx context.Context, images []int, space string) (x []float32, dim int, err error) {
	size := t.o.InputSize
	fill := func(first, count int, pixels []byte) error {
		return t.data.evaluation(ctx, images[first:first+count], pixels)
	}
	visit := func(r *model.Result) error {
		v := r.Penultimate
		if space == EmbeddingSpace {
			v = r.Embedding
		}
		dim = len(v) / r.Count
		x = append(x, v...)
		part := x[r.First*dim:]
		if space == EmbeddingSpace {
			return t.set.Embed(part, part)
		}
		model.UnitRows(part, dim)
		return nil
	}
	err = t.runner.Run(ctx, model.Embed, len(images), size, size, fill, visit)
	return x, dim, err
}
