package train

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/internal/par"
	"libdsl/lib/rng"
)

// data is the training's view of a dataset: indices of the two splits it may see, batches decoded ahead, and the pixels of the
// evaluation transform, which never change and are kept while they are few enough.
type data struct {
	d          *dataset.Dataset
	o          *Options
	train, val []int // dataset indices
	classes    []string
	loader     *dataset.Loader

	number  uint64 // of the next batch to ask for
	ahead   int    // batches asked for and not taken
	left    int64  // of the epoch, not asked for
	source  func() (cluster int, indices []int)
	queue   []int // clusters of the batches asked for, oldest first
	now     batch
	cache   sync.RWMutex // guards kept and have: a small training split comes several times in one batch
	kept    []byte       // evaluation pixels by dataset index, nil when they are too many
	have    []bool
	decoder []imageio.Decoder // by worker
	resizer []imageio.Resizer // by worker
}

// batch is a decoded training batch of one cluster, valid until released.
type batch struct {
	cluster int
	pixels  []byte  // [B,H,W,3]
	labels  []int64 // [B]
	raw     *dataset.Batch
}

// ahead batches are decoded while one is trained on.
const aheadBatches = 3

// maxKeptBytes bounds the evaluation pixels that are kept: 1 GiB.
const maxKeptBytes = 1 << 30

// openData checks the splits. Every image of them was decoded once by the dataset's Check before.
func openData(ctx context.Context, d *dataset.Dataset, o *Options) (*data, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap(errs.Cancelled, err, "train: cancelled")
	}
	v := &data{d: d, o: o, train: d.Indices(dataset.Train), val: d.Indices(dataset.Val), classes: d.ClassNames}
	for _, s := range []struct {
		name    string
		indices []int
		each    int // images that a class needs: a positive pair in training
	}{{"train", v.train, 2}, {"val", v.val, 1}} {
		if n := classCount(d, s.indices, s.each); n < 2 {
			return nil, errs.New(errs.Invalid, "train: split %q: got %d images, %d classes with %d or more, want two such classes or more",
				s.name, len(s.indices), n, s.each)
		}
	}
	var err error
	v.loader, err = dataset.NewLoader(d, dataset.LoaderOptions{Size: o.InputSize, Batch: o.BatchSize, Augment: true, Seed: o.Seed,
		Workers: par.Threads(o.Workers), Ring: aheadBatches + 1})
	if err != nil {
		return nil, err
	}
	if one := 3 * o.InputSize * o.InputSize; len(d.Samples) <= maxKeptBytes/one {
		v.kept, v.have = make([]byte, one*len(d.Samples)), make([]bool, len(d.Samples))
	}
	v.now.labels = make([]int64, o.BatchSize)
	v.decoder, v.resizer = make([]imageio.Decoder, par.Threads(o.Workers)), make([]imageio.Resizer, par.Threads(o.Workers))
	return v, nil
}

// classCount is the number of classes that have at least each of the images.
func classCount(d *dataset.Dataset, indices []int, each int) (n int) {
	count := map[int64]int{}
	for _, l := range d.Labels(indices) {
		if count[l]++; count[l] == each {
			n++
		}
	}
	return n
}

func (v *data) close() { v.loader.Close() }

func (v *data) label(image int) int64 { return int64(v.d.Samples[image].Label) }

// sampler draws balanced batches from members.
type sampler struct {
	*dataset.Sampler
	indices []int
}

// sampler makes a sampler, nil when the members have fewer than two classes.
func (v *data) sampler(members []int, stream *rng.Stream) (*sampler, error) {
	per := v.o.ImagesPerClass
	s, err := dataset.NewSampler(members, v.d.Labels(members), v.o.BatchSize/per, per, stream)
	if errors.Is(err, dataset.ErrOneClass) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &sampler{s, make([]int, v.o.BatchSize)}, nil
}

// next is the next batch's images, valid until the call after it.
func (s *sampler) next() []int {
	if err := s.Sampler.Next(s.indices); err != nil {
		panic(fmt.Sprintf("train: sampler: %v", err)) // the length is ours
	}
	return s.indices
}

// begin starts an epoch of n batches that source names one after the other.
func (v *data) begin(n int64, source func() (cluster int, indices []int)) {
	v.left, v.source = n, source
}

// next waits for the next batch of the epoch and keeps a few more under way.
func (v *data) next(ctx context.Context) (*batch, error) {
	for v.left > 0 && v.ahead < aheadBatches {
		k, indices := v.source()
		v.number++
		if err := v.loader.Push(v.number, indices); err != nil {
			return nil, err
		}
		v.queue = append(v.queue, k)
		v.left--
		v.ahead++
	}
	raw, err := v.loader.Next(ctx)
	if err != nil {
		return nil, err
	}
	b := &v.now
	b.raw, b.pixels, b.cluster = raw, raw.Pix, v.queue[0]
	v.queue = v.queue[:copy(v.queue, v.queue[1:])]
	v.ahead--
	for i, l := range raw.Labels {
		b.labels[i] = int64(l)
	}
	return b, nil
}

func (v *data) release(b *batch) { v.loader.Release(b.raw) }

// evaluation writes the pixels of images in the evaluation transform, [len(images),H,W,3].
func (v *data) evaluation(ctx context.Context, images []int, pixels []byte) error {
	one := 3 * v.o.InputSize * v.o.InputSize
	failed := make([]error, len(images))
	err := par.For(ctx, len(images), 1, len(v.resizer), func(worker, lo, hi int) {
		for i := lo; i < hi; i++ {
			failed[i] = v.evaluate(worker, images[i], pixels[i*one:(i+1)*one])
		}
	})
	return errors.Join(append(failed, err)...)
}

// evaluate transforms one image, or copies what an earlier call kept.
func (v *data) evaluate(worker, image int, dst []byte) error {
	if v.recall(image, dst) {
		return nil
	}
	m, err := v.d.DecodeWith(&v.decoder[worker], image)
	if err != nil {
		return err
	}
	if err := v.resizer[worker].Evaluate(dst, m, v.o.InputSize); err != nil {
		return err
	}
	if v.have != nil {
		v.cache.Lock()
		defer v.cache.Unlock()
		copy(v.kept[image*len(dst):], dst)
		v.have[image] = true
	}
	return nil
}

// recall copies what an earlier call kept, if it did.
func (v *data) recall(image int, dst []byte) bool {
	if v.have == nil {
		return false
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	if v.have[image] {
		copy(dst, v.kept[image*len(dst):])
	}
	return v.have[image]
}
