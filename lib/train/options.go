package train

import (
	"math"

	"libdsl/lib/errs"
	"libdsl/lib/loss"
	"libdsl/lib/model"
)

// Profiles.
const (
	// Scratch trains without weights from elsewhere: a warm-up as a classification network, then the learners at a tenth of its rate.
	Scratch = "scratch"
	// Paper is the schedule of Adiga, Dolz and Lombaert 2022; it needs the weights of a trained backbone.
	Paper = "paper"
)

// Dynamic asks for one learner that grows by itself.
const Dynamic = 0

// Options of a training. Fill gives zero values their defaults, those of the profile; where zero itself makes sense, the field is a pointer.
type Options struct {
	Profile        string
	Arch           model.Arch
	InputSize      int               // pixels of a side
	Init           *model.Pretrained // weights to start from; nil trains from scratch
	Loss           string            // Classification, or one of the losses of package loss
	Mining         string            // of the margin loss, see loss.Options
	Beta           string            // of the margin loss, see loss.Options
	Learners       int               // Dynamic, or K ≥ 1 fixed; unused with Classification
	Epochs         int               // budget in passes over the training images; Steps, when set, replaces it
	Steps          int64             // optimiser steps of the whole run
	BatchSize      int
	ImagesPerClass int
	WarmupShare    *float64 // share of the steps spent as a classification network, [0, 1)
	WarmupRate     float64  // Adam's rate there
	LearningRate   float64  // Adam's rate for the learners
	EmbeddingRate  float64  // Adam's rate for the embedding's rows while the learners train
	WeightDecay    float64  // added to the gradient of all parameters
	FinetuneShare  *float64 // share of the learners' steps at the end that train the whole embedding, [0, 1)
	RateDecay      bool     // cosine decay of the rate in the warm-up and in fine-tuning
	ReclusterEvery int      // epochs; 0: as the length of the run asks for
	Patience       int      // validations without a better NMI before a growth; 0: the same
	ClusterSpace   string   // EmbeddingSpace or PenultimateSpace
	// ExactConvolutions does without Winograd convolutions on the CPU (backend.Options).
	ExactConvolutions bool
	// Nondeterministic allows kernels of a GPU that add up in another order each time (backend.Options).
	Nondeterministic bool
	Threads          int // CPU threads, 0 for all
	Workers          int // goroutines that decode and augment, 0 for as many as threads
	Seed             uint64
	Checkpoints      Checkpoints // how the run is kept; no part of what is trained
}

// The vectors that K-means groups.
const (
	EmbeddingSpace   = "embedding"
	PenultimateSpace = "penultimate"
)

// Classification as the loss trains a classification network with all steps, whose users embed with the unit penultimate vector.
const Classification = "classification"

// Fill gives unset fields the profile's defaults, but for intervals, which need the run's length in epochs. Errors: Invalid for an unknown profile.
func (o *Options) Fill() error {
	if o.Profile == "" {
		o.Profile = Scratch
	}
	d, ok := profiles[o.Profile]
	if !ok {
		return errs.New(errs.Invalid, "train: profile: got %q, want %q or %q", o.Profile, Scratch, Paper)
	}
	a := &o.Arch
	if o.Init != nil {
		fill(&a.Backbone, o.Init.Arch.Backbone)
		fill(&a.Stem, o.Init.Arch.Stem)
		fill(&a.Attention, o.Init.Arch.Attention)
	}
	fill(&a.Backbone, "resnet18")
	fill(&a.Stem, "standard")
	fill(&a.Attention, model.Gate)
	fill(&o.Loss, "margin")
	if o.Loss != Classification {
		fill(&a.EmbeddingDim, 128)
	}
	fill(&o.InputSize, 224)
	fill(&o.Epochs, d.Epochs)
	fill(&o.BatchSize, d.BatchSize)
	fill(&o.ImagesPerClass, d.ImagesPerClass)
	rate := d.LearningRate
	if o.Loss == Classification && o.Init == nil {
		rate = d.WarmupRate // the same training as the warm-up's
	}
	fill(&o.LearningRate, rate)
	fill(&o.EmbeddingRate, min(1, o.LearningRate*d.EmbeddingRate/d.LearningRate))
	fill(&o.WarmupRate, d.WarmupRate)
	fill(&o.WeightDecay, d.WeightDecay)
	fill(&o.ClusterSpace, EmbeddingSpace)
	warmup, finetune := d.WarmupShare, d.FinetuneShare
	if o.Init != nil {
		warmup = new(0.0)
	}
	if o.Loss == Classification {
		warmup, finetune = new(0.0), new(0.0)
	}
	fill(&o.WarmupShare, warmup)
	fill(&o.FinetuneShare, finetune)
	o.RateDecay = o.RateDecay || d.RateDecay
	return nil
}

// fillIntervals gives unset intervals their defaults for a run of so many passes over the training images: from scratch, longer runs look at their
// plateaus for longer, however their length was given.
func (o *Options) fillIntervals(passes int64) {
	d := profiles[o.Profile]
	recluster, patience := d.ReclusterEvery, d.Patience
	if o.Profile == Scratch {
		recluster, patience = max(recluster, int(passes/50)), max(patience, int(passes/15))
	}
	fill(&o.ReclusterEvery, recluster)
	fill(&o.Patience, patience)
}

// profiles hold what differs between the two; method.md of the paper's setting and a search on HAM10000 are the sources, see RATIONALE.
var profiles = map[string]Options{
	Scratch: {Epochs: 32, BatchSize: 128, ImagesPerClass: 16, WarmupShare: new(0.4), WarmupRate: 1e-3, LearningRate: 1e-4, EmbeddingRate: 1e-3, WeightDecay: 1e-4,
		FinetuneShare: new(1.0 / 6), RateDecay: true, ReclusterEvery: 1, Patience: 2},
	Paper: {Epochs: 300, BatchSize: 32, ImagesPerClass: 8, LearningRate: 1e-5, EmbeddingRate: 1e-5, WarmupRate: 1e-3, WeightDecay: 1e-4,
		WarmupShare: new(0.0), FinetuneShare: new(1.0 / 6), ReclusterEvery: 2, Patience: 10},
}

// checkLoss tests the architecture and what goes with the loss.
func (o *Options) checkLoss() error {
	a := o.Arch
	if err := loss.Check(o.Loss, o.lossOptions()); err != nil {
		return errs.Wrap(errs.KindOf(err), err, "train")
	}
	if o.Loss != Classification {
		return a.Check()
	}
	if o.Learners > 1 || a.EmbeddingDim != 0 || *o.WarmupShare != 0 || *o.FinetuneShare != 0 {
		return errs.New(errs.Invalid, "train: loss %q: got learners, embedding_dim, warmup_share or finetune_share, want none of them: "+
			"it trains one network throughout, which embeds with the penultimate vector", o.Loss)
	}
	a.EmbeddingDim = 1 // the number of classes is known later
	return a.Check()
}

// lossOptions are what is chosen of the loss.
func (o *Options) lossOptions() loss.Options { return loss.Options{Mining: o.Mining, Beta: o.Beta} }

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Check reports the first option, of those that Fill has filled, that makes no sense, as an Invalid error that names it.
func (o *Options) Check() error {
	if err := o.checkLoss(); err != nil {
		return err
	}
	for _, c := range []struct {
		name    string
		value   float64
		low, hi float64
	}{
		{"input_size", float64(o.InputSize), 8, 1024},
		{"learners", float64(o.Learners), 0, float64(max(1, o.Arch.EmbeddingDim/2))},
		{"epochs", float64(o.Epochs), 1, 1e6},
		{"steps", float64(o.Steps), 0, 1e12},
		{"batch_size", float64(o.BatchSize), 4, 4096},
		{"images_per_class", float64(o.ImagesPerClass), 2, float64(o.BatchSize / 2)},
		{"learning_rate", o.LearningRate, math.SmallestNonzeroFloat64, 1},
		{"embedding_rate", o.EmbeddingRate, math.SmallestNonzeroFloat64, 1},
		{"warmup_rate", o.WarmupRate, math.SmallestNonzeroFloat64, 1},
		{"weight_decay", o.WeightDecay, 0, 1},
		{"warmup_share", *o.WarmupShare, 0, 0.95},
		{"finetune_share", *o.FinetuneShare, 0, 0.95},
		{"recluster_every", float64(o.ReclusterEvery), 0, 1e6},
		{"patience", float64(o.Patience), 0, 1e6},
		{"threads", float64(o.Threads), 0, 1024},
		{"workers", float64(o.Workers), 0, 1024},
	} {
		if !(c.value >= c.low && c.value <= c.hi) {
			return errs.New(errs.Invalid, "train: %s: got %g, want %g to %g", c.name, c.value, c.low, c.hi)
		}
	}
	if o.BatchSize%o.ImagesPerClass != 0 {
		return errs.New(errs.Invalid, "train: batch_size: got %d, want a multiple of images_per_class, which is %d", o.BatchSize, o.ImagesPerClass)
	}
	if o.ClusterSpace != EmbeddingSpace && o.ClusterSpace != PenultimateSpace {
		return errs.New(errs.Invalid, "train: cluster_space: got %q, want %q or %q", o.ClusterSpace, EmbeddingSpace, PenultimateSpace)
	}
	if o.Profile == Paper && o.Init == nil {
		return errs.New(errs.Invalid, "train: profile %q starts from a trained network: give one (init), or use %q", Paper, Scratch)
	}
	if o.Learners > 1 && o.Init == nil && *o.WarmupShare == 0 {
		return errs.New(errs.Invalid, "train: learners: got %d from the start without trained weights or a warm-up; give one of the two", o.Learners)
	}
	if o.Init != nil {
		return o.Init.Check(o.Arch)
	}
	return nil
}
