package train

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/internal/par"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

func TestAStoppedRunGoesOnAsIfItHadNeverStopped(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(o *Options)
		stops  []moment
	}{
		{"a warm-up, a growth, clusters, fine-tuning", func(o *Options) { o.Patience, o.Steps, o.EmbeddingRate, o.Seed = 1, 50, 1e-4, 3 }, []moment{
			{EventStep, 2, false}, {EventValidated, 2, false}, {EventStep, 16, true}, {EventValidated, 7, true}, // the warm-up and its end
			{EventGrew, 1, true}, {EventNote, 2, false}, {EventNote, 3, true}, {EventStep, 46, false}}},
		{"a loss that learns and draws", func(o *Options) {
			o.Mining, o.Beta, o.Learners, o.WarmupShare, o.Steps = "distance-weighted", "learnt", 1, new(0.0), 10
		}, []moment{{EventStep, 4, true}, {EventStep, 8, false}}},
		{"clusters from the start, and proxies", func(o *Options) { o.Loss, o.Learners, o.Steps = "proxy-anchor", 3, 20 }, []moment{{EventNote, 1, true}, {EventStep, 10, false}, {EventValidated, 5, true}}},
		{"batch statistics until a growth", func(o *Options) { o.WarmupShare, o.Patience, o.Steps, o.EmbeddingRate = new(0.0), 1, 20, 1e-4 }, []moment{
			{EventStep, 2, true}, {EventValidated, 2, true}, {EventGrew, 1, false}}},
		{"a classification network", func(o *Options) { o.Loss, o.Arch.EmbeddingDim, o.Steps = Classification, 0, 8 }, []moment{
			{EventStep, 4, false}, {EventValidated, 2, false}, {EventStep, 8, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := tiny(0)
			c.change(&o)
			d := stripes(t, 3, 30, 12)
			whole, parts := journey{t: t, d: d, o: o}, journey{t: t, d: d, o: o}
			if err := whole.run(func(*Progress, func()) bool { return true }); err != nil {
				t.Fatal(err)
			}
			parts.inParts(c.stops)
			parts.equals(&whole)
		})
	}
}

func TestAFinishedRunGoesOnToItsEndAndWritesAnewWhatIsLost(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	o := tiny(8)
	path := filepath.Join(t.TempDir(), "m.dsl")
	files := Files{Path: path, LibraryVersion: "test", Data: d}
	o.Checkpoints = Checkpoints{Save: files.SaveCheckpoint, Version: "test"}
	first, err := Run(context.Background(), onednn.Backend{}, d, o, nil, files.Save)
	if err != nil {
		t.Fatal(err)
	}
	for _, lost := range []string{path, LastPath(path)} {
		if err := os.Remove(lost); err != nil {
			t.Fatal(err)
		}
	}
	if o.Checkpoints.Resume, err = ReadCheckpoint(CheckpointPath(path)); err != nil {
		t.Fatal(err)
	}
	steps := 0
	again, err := Run(context.Background(), onednn.Backend{}, d, o, func(p *Progress) bool {
		if p.Event == EventStep {
			steps++
		}
		return true
	}, files.Save)
	if err != nil || steps != 0 || again.Steps != 8 || again.BestScore != first.BestScore || again.LastScore != first.LastScore {
		t.Fatalf("%d steps more, got %+v, want %+v; %v", steps, again, first, err)
	}
	for name, want := range map[string]*model.Model{path: first.Best, LastPath(path): first.Last} {
		f, err := modelfile.Read(name, modelfile.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Model()
		if err != nil {
			t.Fatal(err)
		}
		sameModels(t, filepath.Base(name), got, want)
	}
}

// stopped is a checkpoint of a run that was stopped at a message.
func stopped(t *testing.T, d *dataset.Dataset, o Options, at func(*Progress) bool) *Checkpoint {
	t.Helper()
	var kept *Checkpoint
	o.Checkpoints = Checkpoints{Version: "test", Save: func(c *Checkpoint) error {
		kept = c
		return nil
	}}
	_, err := Run(context.Background(), onednn.Backend{}, d, o, func(p *Progress) bool { return !at(p) }, nil)
	if errs.KindOf(err) != errs.Cancelled || kept == nil {
		t.Fatalf("got %v, %v", kept, err)
	}
	return kept
}

func stoppedAfter(t *testing.T, d *dataset.Dataset, o Options, steps int64) *Checkpoint {
	t.Helper()
	return stopped(t, d, o, func(p *Progress) bool { return p.Event == EventStep && p.Step == steps })
}

func TestOtherOptionsOrDataAreRefusedByName(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	kept := stoppedAfter(t, d, tiny(8), 2)
	other := stripes(t, 3, 24, 12)
	other.Samples[0].Label = 1
	trained, err := Run(context.Background(), onednn.Backend{}, d, tiny(1), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		d      *dataset.Dataset
		change func(o *Options)
		want   []string
	}{
		{"another number of steps", d, func(o *Options) { o.Steps = 9 }, []string{`option "steps": got 9, want 8`}},
		{"another rate", d, func(o *Options) { o.LearningRate, o.EmbeddingRate = 0.25, 0.5 }, []string{`option "learning_rate": got 0.25, want 0.0001`, `option "embedding_rate": got 0.5`}},
		{"another seed", d, func(o *Options) { o.Seed = 2 }, []string{`option "seed": got 2, want 1`}},
		{"another backbone", d, func(o *Options) { o.Arch.Backbone = "resnet34" }, []string{`option "backbone": got resnet34, want resnet18`}},
		{"another share", d, func(o *Options) { o.WarmupShare = new(0.5) }, []string{`option "warmup_share": got 0.5, want 0.4`}},
		{"a model to start from", d, func(o *Options) { o.Init, o.WarmupShare = trained.Last.Pretrained(), new(0.4) }, []string{`option "init"`, "want none"}},
		{"another label", other, func(*Options) {}, []string{"data", "hash"}},
		{"one image less", stripes(t, 3, 23, 12), func(o *Options) {}, []string{"data", "hash"}},
	} {
		o := tiny(8)
		c.change(&o)
		o.Checkpoints.Resume = kept
		_, err := Run(context.Background(), onednn.Backend{}, c.d, o, nil, nil)
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		for _, text := range c.want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: got %q, want it to say %s", c.name, err, text)
			}
		}
	}
}

func TestAnotherMachineOrVersionIsToldAndGoesOn(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	kept := stoppedAfter(t, d, tiny(8), 2)
	o := tiny(8)
	o.Threads = 2
	var told, notes []string
	o.Checkpoints = Checkpoints{Resume: kept, Version: "next", Resumed: func(why []string) error { told = why; return nil }}
	res, err := Run(context.Background(), onednn.Backend{}, d, o, func(p *Progress) bool {
		if p.Event == EventNote && strings.Contains(p.Message, "may differ") {
			notes = append(notes, p.Message)
		}
		return true
	}, nil)
	if err != nil || res.Steps != 8 {
		t.Fatalf("got %+v, %v", res, err)
	}
	if want := []string{`library version: got "next", was "test"`, `threads: got "2", was "1"`}; !slices.Equal(told, want) || len(notes) != 2 {
		t.Errorf("got %q and notes %q, want %q", told, notes, want)
	}
}

// choosing is a backend that chooses its kernels, as a GPU's does.
type choosing struct{ onednn.Backend }

func (choosing) Choices() ([]byte, error) { return nil, nil }
func (choosing) SetChoices([]byte) error  { return nil }

func TestSumsInAnyOrderAreADifference(t *testing.T) {
	tr := open(t, stripes(t, 3, 30, 12), tiny(8))
	tr.backend = choosing{}
	c := &Checkpoint{version: tr.o.Checkpoints.Version, device: tr.backend.Device(), environment: tr.backend.Environment()}
	c.n.threads = int64(par.Threads(tr.o.Threads))
	for may, want := range map[bool]int{false: 0, true: 1} {
		tr.o.Nondeterministic = may
		if got, err := tr.differences(c); err != nil || len(got) != want {
			t.Errorf("nondeterministic %v: got %q (%v), want %d", may, got, err, want)
		}
	}
}

func TestEveryOptionThatDecidesIsInTheCheckpoint(t *testing.T) {
	o := tiny(8)
	if err := o.Fill(); err != nil {
		t.Fatal(err)
	}
	named := o.named()
	for _, name := range []string{"profile", "backbone", "stem", "attention", "embedding_dim", "input_size", "init", "loss", "learners", "steps", "batch_size",
		"images_per_class", "warmup_share", "finetune_share", "learning_rate", "warmup_rate", "weight_decay", "rate_decay", "recluster_every", "patience", "cluster_space", "seed", "nondeterministic"} {
		if named[name] == "" {
			t.Errorf("%q is missing in %v", name, named)
		}
	}
	for _, name := range []string{"threads", "workers", "checkpoints"} {
		if _, ok := named[name]; ok {
			t.Errorf("%q must not decide", name)
		}
	}
}

// cancelling is a loss after which the step is cancelled.
type cancelling struct {
	loss.Loss
	cancel func()
}

func (c cancelling) Compute(x []float32, dim int, labels []int64, grad []float32) (float64, int, error) {
	defer c.cancel()
	return c.Loss.Compute(x, dim, labels, grad)
}

func TestACancelledStepLeavesNoScores(t *testing.T) {
	tr := open(t, stripes(t, 3, 30, 12), tiny(100))
	tr.current = clusters{whole: true}
	stepOn(t, tr, 0, Learn)
	before := slices.Clone(tr.growth.scores.Sum)
	ctx, cancel := context.WithCancel(context.Background())
	tr.loss = cancelling{tr.loss, cancel}
	prog, err := tr.program()
	if err != nil {
		t.Fatal(err)
	}
	b := &batch{pixels: make([]byte, 8*3*16*16), labels: []int64{0, 0, 0, 0, 1, 1, 1, 1}}
	for i := range b.pixels {
		b.pixels[i] = byte(i * 7 % 251)
	}
	_, err = tr.learnerStep(ctx, prog, b, Learn)
	if errs.KindOf(err) != errs.Cancelled || tr.done != 1 || tr.growth.scores.Count != 8 || !slices.Equal(before, tr.growth.scores.Sum) {
		t.Errorf("after %d steps of %d images: %v", tr.done, tr.growth.scores.Count, err)
	}
}

func TestCheckpointsCostAtMostATwentiethOfTheTime(t *testing.T) {
	for _, c := range []struct {
		name        string
		phase       phase
		done        int64
		since, cost float64 // of Every
		want        bool
	}{
		{"soon within an epoch", training, 1, 0.9, 0.01, false},
		{"late within an epoch", training, 1, 1.1, 0.01, true},
		{"a validation", validated, 1, 0.25, 0.01, true},
		{"a validation soon after one that took long", validated, 1, 0.15, 0.01, false},
		{"a validation at last", validated, 1, 1.1, 1, true},
		{"the last one", validated, 8, 0, 1, true},
	} {
		kept := 0
		tr := open(t, stripes(t, 3, 24, 12), tiny(8))
		tr.identify()
		tr.current = clusters{whole: true}
		const every = 1000 * time.Second
		part := func(share float64) time.Duration { return time.Duration(share * float64(every)) }
		tr.o.Checkpoints = Checkpoints{Every: every, Save: func(*Checkpoint) error { kept++; return nil }}
		tr.at.phase, tr.done = c.phase, c.done
		tr.kept = keeper{last: time.Now().Add(-part(c.since)), cost: part(c.cost)}
		if err := tr.keepWhenDue(); err != nil || (kept == 1) != c.want {
			t.Errorf("%s: kept %d, want one: %v; %v", c.name, kept, c.want, err)
		}
	}
}
