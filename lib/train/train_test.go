package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
	"libdsl/lib/rng"
)

// stripes are gray 20×20 pictures: class c has stripes of period 2+2c, plus noise. The first train are for training, the rest for validation.
func stripes(t *testing.T, classes, train, val int) *dataset.Dataset {
	t.Helper()
	const side = 20
	r := rng.New(2, "stripes")
	n := train + val
	a := dataset.Arrays{N: n, Height: side, Width: side, Channels: 1, Uint8: make([]uint8, n*side*side), Labels: make([]int64, n), Splits: make([]dataset.Split, n)}
	for i := range n {
		c := i % classes
		a.Labels[i] = int64(c)
		if i >= train {
			a.Splits[i] = dataset.Val
		}
		for p := range side * side {
			on := p%side/(1+c)%2 == 0
			v := 60 + r.IntN(40)
			if on {
				v += 120
			}
			a.Uint8[i*side*side+p] = uint8(v)
		}
	}
	d, err := dataset.FromArrays(a)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// tiny options: a step takes milliseconds.
func tiny(steps int64) Options {
	return Options{Arch: model.Arch{Stem: "small", EmbeddingDim: 24}, InputSize: 16, Steps: steps, BatchSize: 8, ImagesPerClass: 4, Seed: 1, Threads: 1}
}

func TestATrainingGoesThroughItsStagesAndWritesTwoModels(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	path := filepath.Join(t.TempDir(), "m.dsl")
	files := Files{Path: path, LibraryVersion: "test", Data: d}
	var text bytes.Buffer
	log := NewLog(&text)
	var stages []Stage
	res, err := Run(context.Background(), onednn.Backend{}, d, tiny(8), func(p *Progress) bool {
		log.Write(p)
		if !slices.Contains(stages, p.Stage) {
			stages = append(stages, p.Stage)
		}
		if p.Event == EventStep && (math.IsNaN(p.Loss) || p.Loss < 0) {
			t.Errorf("step %d: loss %v", p.Step, p.Loss)
		}
		return true
	}, files.Save)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Stage{Prepare, Warmup, Learn, Finetune, Done}; !slices.Equal(stages, want) {
		t.Fatalf("stages %v, want %v", stages, want)
	}
	if res.Steps != 8 || res.Best == nil || res.Last == nil {
		t.Fatalf("got %+v", res)
	}
	for _, p := range []string{path, LastPath(path)} {
		f, err := modelfile.Read(p, modelfile.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := f.Model()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
	}
	for _, raw := range bytes.Split(bytes.TrimSpace(text.Bytes()), []byte("\n")) {
		var l line
		if err := json.Unmarshal(raw, &l); err != nil || l.Event == "" {
			t.Fatalf("log line %q: %v", raw, err)
		}
	}
	if log.Err() != nil {
		t.Fatal(log.Err())
	}
}

func TestAClassificationNetworkIsTrainedThroughoutAndEmbedsWithItsPenultimateVector(t *testing.T) {
	o := tiny(30)
	o.Loss, o.Arch.EmbeddingDim = Classification, 0
	var stages []Stage
	var rates []float64
	first, last := 0.0, 0.0
	res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), o, func(p *Progress) bool {
		if !slices.Contains(stages, p.Stage) {
			stages = append(stages, p.Stage)
		}
		if p.Event == EventStep {
			rates = append(rates, p.LearningRate)
			if last = p.Loss; first == 0 {
				first = last
			}
		}
		return true
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := []Stage{Prepare, Learn, Done}; !slices.Equal(stages, want) || len(rates) != 30 || rates[0] != 1e-3 || !(rates[29] < 1e-5) {
		t.Errorf("stages %v, want %v; %d rates from %v to %v, want 1e-3 to almost 0", stages, want, len(rates), rates[0], rates[len(rates)-1])
	}
	for _, m := range []*model.Model{res.Best, res.Last} {
		if err := m.Check(); err != nil || m.Head != model.ClassificationHead || m.EmbeddingDim() != 256 || m.Arch.EmbeddingDim != 3 {
			t.Errorf("got %v, head %q, %d numbers, %d scores", err, m.Head, m.EmbeddingDim(), m.Arch.EmbeddingDim)
		}
	}
	if !(last < first) || math.IsNaN(res.BestScore.NMI) {
		t.Errorf("loss %v after %v, best NMI %v", last, first, res.BestScore.NMI)
	}
}

func TestACancelledTrainingLeavesAModel(t *testing.T) {
	for _, at := range []int64{1, 5} { // in the warm-up, and after it
		d := stripes(t, 3, 24, 12)
		path := filepath.Join(t.TempDir(), "m.dsl")
		files := Files{Path: path, LibraryVersion: "test", Data: d}
		res, err := Run(context.Background(), onednn.Backend{}, d, tiny(8), func(p *Progress) bool { return p.Step < at }, files.Save)
		if errs.KindOf(err) != errs.Cancelled {
			t.Fatalf("cancelled at step %d: got %v", at, err)
		}
		if res == nil || res.Last == nil || res.Last.Check() != nil || res.Steps != at {
			t.Fatalf("cancelled at step %d: got %+v", at, res)
		}
		f, err := modelfile.Read(LastPath(path), modelfile.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if s := f.Card.Scores; len(s) != 1 || s[0].Name != "train/steps" { // nothing was validated since
			t.Errorf("cancelled at step %d: the card has scores %v", at, s)
		}
	}
}

func TestACancelledRunSaysThatItsModelCouldNotBeWritten(t *testing.T) {
	full := errs.New(errs.IO, "disk full")
	res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), tiny(8), func(p *Progress) bool { return p.Step < 1 },
		func(bool, *model.Model, Validation) error { return full })
	if errs.KindOf(err) != errs.Cancelled || !errors.Is(err, full) || res == nil || res.Last == nil {
		t.Fatalf("got %+v, %v", res, err)
	}
}

func TestOneFalseToAnyMessageCancels(t *testing.T) {
	for _, at := range []Event{EventNote, EventStep, EventValidated} {
		said := false
		res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), tiny(8), func(p *Progress) bool {
			no := p.Event == at && !said
			said = said || no
			return !no
		}, nil)
		if errs.KindOf(err) != errs.Cancelled || res == nil || res.Steps == 8 {
			t.Errorf("false to event %d: got %+v, %v", at, res, err)
		}
	}
}

func TestABestModelIsKeptWhenItsMessageCancels(t *testing.T) {
	var saved, told Validation
	res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), tiny(12), func(p *Progress) bool {
		if p.Event == EventValidated && p.Best {
			told = Validation{NMI: p.NMI, Step: p.Step}
			return false
		}
		return true
	}, func(best bool, _ *model.Model, v Validation) error {
		if best {
			saved = v
		}
		return nil
	})
	if errs.KindOf(err) != errs.Cancelled || told.Step == 0 || saved.Step != told.Step || saved.NMI != told.NMI || res.BestScore != saved {
		t.Fatalf("told of %+v, saved %+v, result %+v, %v", told, saved, res, err)
	}
}

func TestTwoRunsAreEqual(t *testing.T) {
	var first model.Weights
	for i, workers := range []int{1, 3} {
		o := tiny(4)
		o.Workers = workers
		res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), o, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = res.Last.Weights
			continue
		}
		for name, w := range res.Last.Weights {
			if !slices.Equal(w, first[name]) {
				t.Fatalf("%s differs with %d workers", name, workers)
			}
		}
	}
}

func TestBadOptionsAndDataAreRefusedBeforeTraining(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	one := stripes(t, 1, 24, 12)
	lone := stripes(t, 1, 24, 12) // one image of a second class in each split
	lone.Samples[3].Label, lone.Samples[30].Label = 1, 1
	lone.ClassNames = append(lone.ClassNames, "second")
	for name, c := range map[string]struct {
		d      *dataset.Dataset
		change func(o *Options)
	}{
		"an unknown profile":                     {d, func(o *Options) { o.Profile = "fast" }},
		"an unknown backbone":                    {d, func(o *Options) { o.Arch.Backbone = "vgg" }},
		"a negative rate":                        {d, func(o *Options) { o.LearningRate = -1 }},
		"a rate that is not a number":            {d, func(o *Options) { o.LearningRate = math.NaN() }},
		"a batch of odd parts":                   {d, func(o *Options) { o.BatchSize = 9 }},
		"too many learners":                      {d, func(o *Options) { o.Learners = 20 }},
		"an unknown cluster space":               {d, func(o *Options) { o.ClusterSpace = "pixels" }},
		"fixed learners from nothing":            {d, func(o *Options) { o.Learners, o.Profile = 2, Paper }},
		"an unknown loss":                        {d, func(o *Options) { o.Loss = "l2" }},
		"learners of a classification network":   {d, func(o *Options) { o.Loss, o.Arch.EmbeddingDim, o.Learners = Classification, 0, 2 }},
		"a width for a classification network":   {d, func(o *Options) { o.Loss = Classification }},
		"one class only":                         {one, func(o *Options) {}},
		"a second class with one training image": {lone, func(o *Options) {}},
		"no validation split":                    {stripes(t, 3, 24, 0), func(o *Options) {}},
	} {
		o := tiny(4)
		c.change(&o)
		if _, err := Run(context.Background(), onednn.Backend{}, c.d, o, nil, nil); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAWarmupGoesOnAfterItsProgramGaveWayToAnother(t *testing.T) {
	tr := open(t, stripes(t, 3, 24, 12), tiny(10)) // 4 steps of warm-up, 3 an epoch
	tr.tell = newTeller(func(p *Progress) bool {
		if p.Event == EventValidated {
			tr.runner.Forget() // as validation does where the programs do not fit beside each other
		}
		return true
	})
	if err := tr.classify(context.Background(), Warmup); err != nil {
		t.Fatal(err)
	}
	if tr.done != tr.sched.warmup || tr.epoch != 2 {
		t.Fatalf("got %d steps in %d epochs, want %d in 2", tr.done, tr.epoch, tr.sched.warmup)
	}
}

func TestOptionsAreCheckedWithoutData(t *testing.T) {
	o := tiny(4)
	if err := o.Fill(); err != nil || o.Check() != nil {
		t.Fatal(err, o.Check())
	}
	o.BatchSize = 9 // no multiple of the 4 images of a class
	if err := o.Check(); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v", err)
	}
}

func TestEveryLossTrainsLearnersThatGrow(t *testing.T) {
	for _, c := range []struct{ loss, mining, beta string }{
		{"margin", "distance-weighted", "learnt"}, {"margin", "", "per-class"}, {"contrastive", "", ""}, {"triplet", "", ""},
		{"proxy-anchor", "", ""}, {"multi-similarity", "", ""}, {"supervised-contrastive", "", ""},
	} {
		o := tiny(60)
		o.Loss, o.Mining, o.Beta = c.loss, c.mining, c.beta
		o.Arch.EmbeddingDim, o.Patience, o.LearningRate = 128, 1, 1e-2 // of so many neurons both parts of a split have enough
		sum := 0.0
		res, err := Run(context.Background(), onednn.Backend{}, stripes(t, 3, 24, 12), o, func(p *Progress) bool {
			if p.Event == EventStep && p.Stage != Prepare {
				sum += p.Loss
			}
			return true
		}, nil)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if math.IsNaN(sum) || sum == 0 || res.Last.Check() != nil {
			t.Errorf("%+v: losses add up to %v, the model: %v", c, sum, res.Last.Check())
		}
	}
}

func TestWhatALossLearnsMovesWithTheSteps(t *testing.T) {
	o := tiny(10)
	o.Loss, o.Learners = "proxy-anchor", 2
	tr := open(t, stripes(t, 3, 24, 12), o)
	p := tr.learnt.Parameters()[0]
	before := slices.Clone(p.Value)
	stepOn(t, tr, 1, Learn)
	own := tr.set.Subspace(1)
	for i := range p.Value {
		if moved := p.Value[i] != before[i]; moved != slices.Contains(own, i%p.Columns) {
			t.Fatalf("proxy %d, neuron %d of learner 1: %v, moved: %v", i/p.Columns, i%p.Columns, slices.Contains(own, i%p.Columns), moved)
		}
	}
}
