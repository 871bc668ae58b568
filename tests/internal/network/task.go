package network

import (
	"context"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/model"
)

// Task is what a benchmark times, again and again. The pixels of a batch that one program computes lie in its input, where a data loader writes them.
type Task struct {
	once      func() error
	settle    func() error // waits for what the last iteration began
	embedding func() ([]float32, error)
	close     func()
	learning  *Learning // of "learn"
}

// rate and decay of the training tasks: a rate at which hundreds of steps do not diverge.
const rate, decay = 1e-6, 1e-4

// NewTask compiles "infer", "train" (forward, backward from the folder's dL/de, Adam) or "learn" (dL/de comes from the margin loss of one learner).
func (n *Network) NewTask(kind string, be backend.Backend, o backend.Options) (*Task, error) {
	o.Winograd = true // as models and trainings have it
	switch kind {
	case "infer":
		return n.newInferTask(be, o)
	case "train", "learn":
		return n.newTrainTask(kind, be, o)
	}
	return nil, errs.New(errs.Invalid, "network: task: got %q, want infer, train or learn", kind)
}

func (n *Network) newTrainTask(kind string, be backend.Backend, o backend.Options) (*Task, error) {
	t, err := n.NewTraining(be, o)
	if err != nil {
		return nil, err
	}
	args := Adam(0, rate, decay)
	task := &Task{embedding: func() ([]float32, error) { return t.Program.Output(model.OutEmbedding) }, close: t.Close, once: func() error {
		args.Step++
		return t.Step(args)
	}, settle: func() error {
		_, err := t.Read("embedding.bias") // which waits for the update
		return err
	}}
	if kind == "learn" {
		whole, err := learner.New(n.EmbeddingDim, 1)
		if err != nil {
			t.Close()
			return nil, err
		}
		task.learning = NewLearning(t.Program, whole, n.labels(), args)
		task.once = task.learning.Step
	}
	return task, nil
}

// labels are those of a batch as the sampler makes it: eight classes.
func (n *Network) labels() []int64 {
	out := make([]int64, n.Batch)
	for i := range out {
		out[i] = int64(i / max(2, n.Batch/8))
	}
	return out
}

func (n *Network) newInferTask(be backend.Backend, o backend.Options) (*Task, error) {
	r, err := n.NewInference(be, o)
	if err != nil {
		return nil, err
	}
	embedding, there := make([]float32, n.Batch*n.EmbeddingDim), false
	fill := func(first, count int, pixels []byte) error {
		if !there {
			copy(pixels, n.Pixels[first*len(n.Pixels)/n.Batch:])
		}
		there = count == n.Batch
		return nil
	}
	keep := func(res *model.Result) error {
		copy(embedding[res.First*n.EmbeddingDim:], res.Embedding)
		return nil
	}
	once := func() error { return r.Run(context.Background(), model.Embed, n.Batch, n.Height, n.Width, fill, keep) }
	return &Task{embedding: func() ([]float32, error) { return embedding, nil }, close: r.Close, once: once, settle: func() error { return nil }}, nil
}

// Run computes n iterations and returns the time that they took, and how much of it the loss took on the host.
func (t *Task) Run(n int) (total, host time.Duration, err error) {
	if t.learning != nil {
		t.learning.Host = 0
	}
	start := time.Now()
	for range n {
		if err := t.once(); err != nil {
			return 0, 0, err
		}
	}
	if err := t.settle(); err != nil {
		return 0, 0, err
	}
	total = time.Since(start)
	if t.learning != nil {
		host = t.learning.Host
	}
	return total, host, nil
}

// Embedding is that of the last iteration's batch [B, D].
func (t *Task) Embedding() ([]float32, error) { return t.embedding() }

// Close frees everything.
func (t *Task) Close() { t.close() }
