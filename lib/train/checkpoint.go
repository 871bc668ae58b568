package train

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// Checkpoints say how a run is kept and what it goes on from.
type Checkpoints struct {
	// Save keeps a checkpoint: at validations, within long epochs and when the run is cancelled. nil: none are made. Its error ends the run.
	Save func(*Checkpoint) error
	// Every is the time from one checkpoint to the next within an epoch; 0 is DefaultCheckpointEvery. Validations come with one too, unless writing the last one
	// took so long that they would cost the run more than a twentieth of its time.
	Every time.Duration
	// Resume is what the run goes on from; nil starts anew.
	Resume *Checkpoint
	// Resumed is told when the run stands where the checkpoint does, before any message: why the results may differ from those of a run never
	// stopped, nothing when they are equal bit for bit. May be nil. Its error ends the run.
	Resumed func(differences []string) error
	// Version is the library's.
	Version string
}

// DefaultCheckpointEvery bounds what a killed process loses of a long epoch.
const DefaultCheckpointEvery = 5 * time.Minute

// Checkpoint is a run between two steps: all that a resumed one needs beside its options and data. It is immutable, but for LogBytes.
type Checkpoint struct {
	LogBytes int64 // how long the log was: what stands behind that is told again

	score       Validation   // of the network
	network     *model.Model // as it is trained now; a classification network in the warm-up
	frozen      bool         // its BatchNorm
	adam        []modelfile.Tensor
	n           numbers
	best        *model.Model // nil before the first validation of an embedding network
	assigned    []int32
	scores      []float64
	loss        []loss.State
	samplers    [][]byte // by cluster, as the epoch began
	options     map[string]string
	data        string // the dataset's hash
	version     string // of the library
	device      string
	environment string
	choices     []byte // of kernels
}

// Step is the number of optimiser steps that were done.
func (c *Checkpoint) Step() int64 { return c.n.done }

// numbers are the counters and measurements of a run.
type numbers struct {
	done, adam, epoch, phase, taken int64
	clusters, whole, clustered      int64 // how many; all images in one; the epoch of it
	waited, since, growths, scored  int64 // of growth; scored images
	hasBest, bestStep, bestEpoch    int64
	lastStep, lastEpoch             int64
	learner, threads, logBytes      int64
	best, last, told                [3]float64 // NMI, recall at 1, its macro average
	improved, loss, elapsed         float64
}

// maxCount is more than any run counts to.
const maxCount = 1 << 50

// count is a number of a checkpoint by name, with its range.
type count struct {
	name      string
	at        *int64
	low, high int64
}

// counts are in the order of the file.
func (n *numbers) counts() []count {
	return []count{
		{"step", &n.done, 1, maxCount}, {"adam_step", &n.adam, 0, maxCount}, {"epoch", &n.epoch, 0, maxCount},
		{"epoch/phase", &n.phase, 0, int64(validated)}, {"epoch/steps", &n.taken, 0, maxCount},
		{"clusters", &n.clusters, 1, maxCount}, {"clusters/whole", &n.whole, 0, 1}, {"clusters/epoch", &n.clustered, 0, maxCount},
		{"growth/waited", &n.waited, 0, maxCount}, {"growth/since", &n.since, 0, 1}, {"growth/count", &n.growths, 0, maxCount},
		{"growth/images", &n.scored, 0, maxCount},
		{"best", &n.hasBest, 0, 1}, {"best/step", &n.bestStep, 0, maxCount}, {"best/epoch", &n.bestEpoch, 0, maxCount},
		{"last/step", &n.lastStep, 0, maxCount}, {"last/epoch", &n.lastEpoch, 0, maxCount},
		{"told/learner", &n.learner, 0, maxCount}, {"threads", &n.threads, 1, maxCount}, {"log_bytes", &n.logBytes, 0, maxCount},
	}
}

// measure is a float of a checkpoint by name.
type measure struct {
	name string
	at   *float64
	kind measureKind
}

type measureKind int

const (
	score    measureKind = iota // in [0, 1] but for rounding, or NaN: none yet
	highest                     // the same, or −Inf: none yet
	anything                    // finite, or NaN: none yet
	duration                    // seconds
)

func (n *numbers) measures() []measure {
	out := []measure{{"growth/improved", &n.improved, highest}, {"told/loss", &n.loss, anything}, {"elapsed_s", &n.elapsed, duration}}
	for _, v := range []struct {
		name string
		at   *[3]float64
	}{{"best", &n.best}, {"last", &n.last}, {"told", &n.told}} {
		for i, name := range []string{"nmi", "recall_at_1", "macro_recall_at_1"} {
			out = append(out, measure{v.name + "/" + name, &v.at[i], score})
		}
	}
	return out
}

// Names in the file.
const (
	bestPrefix    = "best/"
	bestOwners    = "best/learners" // the learner of each neuron
	assignedName  = "clusters/assigned"
	scoresName    = "growth/scores"
	lossPrefix    = "loss/"
	samplerPrefix = "sampler/"
	optionsName   = "options"
	deviceName    = "device"
	envName       = "environment"
	choicesName   = "kernels"
)

// File is the checkpoint as a file: the model as it is trained now, and the training's state. The best model is in it too, so that a resumed run does
// not depend on another file.
func (c *Checkpoint) File(card modelfile.Card) (*modelfile.File, error) {
	f, err := modelfile.FromModel(c.network, card)
	if err != nil {
		return nil, err
	}
	if !c.frozen {
		f.Arch.BatchNorm = "batch"
	}
	s := &modelfile.Checkpoint{Tensors: slices.Clone(c.adam)}
	f.Checkpoint = s
	if err := c.addBest(s); err != nil {
		return nil, err
	}
	s.Tensors = append(s.Tensors,
		modelfile.Tensor{Name: assignedName, Shape: []int32{int32(len(c.assigned))}, Data: c.assigned},
		modelfile.Tensor{Name: scoresName, Shape: []int32{int32(len(c.scores))}, Data: c.scores})
	for _, v := range c.loss {
		t := modelfile.Tensor{Name: lossPrefix + v.Name, Shape: []int32{int32(len(v.Floats))}, Data: v.Floats}
		if v.Floats == nil {
			t.Shape, t.Data = []int32{int32(len(v.Counts))}, v.Counts
		}
		s.Tensors = append(s.Tensors, t)
	}
	n := c.n
	n.logBytes = c.LogBytes
	for _, v := range n.counts() {
		s.Ints = append(s.Ints, modelfile.NamedInt{Name: v.name, Value: *v.at})
	}
	for _, v := range n.measures() {
		s.Floats = append(s.Floats, modelfile.NamedFloat{Name: v.name, Value: *v.at})
	}
	options, err := json.Marshal(c.options)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "train: checkpoint: options")
	}
	s.Blobs = []modelfile.NamedBlob{{Name: optionsName, Data: options}, {Name: deviceName, Data: []byte(c.device)},
		{Name: envName, Data: []byte(c.environment)}, {Name: choicesName, Data: c.choices}}
	for k, state := range c.samplers {
		if state != nil {
			s.Blobs = append(s.Blobs, modelfile.NamedBlob{Name: fmt.Sprint(samplerPrefix, k), Data: state})
		}
	}
	return f, nil
}

// addBest adds the best model: its weights and its learners. The rest of it is that of the run.
func (c *Checkpoint) addBest(s *modelfile.Checkpoint) error {
	if c.best == nil {
		return nil
	}
	tensors, err := model.Tensors(c.best.Arch, false)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		s.Tensors = append(s.Tensors, modelfile.Tensor{Name: bestPrefix + t.Name, Shape: fileShape(t.Shape), Data: c.best.Weights[t.Name]})
	}
	owners := make([]int32, c.best.Arch.EmbeddingDim)
	for k := range c.best.Learners.NumLearners() {
		for _, neuron := range c.best.Learners.Subspace(k) {
			owners[neuron] = int32(k)
		}
	}
	s.Tensors = append(s.Tensors, modelfile.Tensor{Name: bestOwners, Shape: []int32{int32(len(owners))}, Data: owners})
	return nil
}

func fileShape(shape []int) []int32 {
	out := make([]int32, len(shape))
	for i, d := range shape {
		out[i] = int32(d)
	}
	return out
}
