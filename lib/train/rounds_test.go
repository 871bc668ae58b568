package train

import (
	"context"
	"math"
	"slices"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/onednn"
	"libdsl/lib/ir"
	"libdsl/lib/model"
)

// trainOnce trains the clusters as they are for an epoch.
func trainOnce(tr *Trainer) error {
	ctx := context.Background()
	tr.at = position{phase: training}
	return tr.trainEpoch(ctx, Learn, func(p backend.Program, b *batch) (float64, error) { return tr.learnerStep(ctx, p, b, Learn) })
}

func TestAnEpochGivesEveryUsableClusterAsManyTurnsAsTheLargestNeeds(t *testing.T) {
	o := tiny(100)
	o.Learners = 3
	tr := open(t, stripes(t, 3, 48, 12), o)
	img := tr.data.train // labels 0 1 2 0 1 2 …
	sameClass := []int{img[2], img[5], img[8], img[11]}
	tr.current = clusters{members: [][]int{img[:26], sameClass, img[40:47]}} // ⌊26/8⌋ = 3 rounds; cluster 1 has one class
	var err error
	if tr.current.samplers, err = tr.samplersOf(tr.current.members); err != nil {
		t.Fatal(err)
	}
	if tr.current.samplers[1] != nil {
		t.Fatal("a cluster of one class got a sampler")
	}
	tr.current.usable = []int{0, 2}
	var turns []int
	tr.tell = newTeller(func(p *Progress) bool {
		turns = append(turns, p.Learner)
		return true
	})
	if err := trainOnce(tr); err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 2, 0, 2, 0, 2}; !slices.Equal(turns, want) {
		t.Errorf("turns %v, want %v", turns, want)
	}
	tr.done, turns = tr.sched.finetune-1, nil
	if err := trainOnce(tr); err != nil || len(turns) != 1 {
		t.Errorf("one step before fine-tuning: turns %v, %v", turns, err)
	}
}

func TestClustersAreMadeAnewWhenTheyAreDue(t *testing.T) {
	ctx := context.Background()
	o := tiny(100)
	o.Learners, o.ReclusterEvery = 2, 3
	tr := open(t, stripes(t, 3, 30, 12), o)
	var err error
	if tr.current, err = tr.wholeCluster(); err != nil {
		t.Fatal(err)
	}
	var made []int
	for tr.epoch = 1; tr.epoch <= 8; tr.epoch++ {
		if err := tr.arrange(ctx, Learn); err != nil {
			t.Fatal(err)
		}
		if tr.current.epoch == tr.epoch {
			made = append(made, tr.epoch)
		}
	}
	if want := []int{1, 4, 7}; !slices.Equal(made, want) {
		t.Errorf("clusters were made in epochs %v, want %v", made, want)
	}
}

func TestCalibrationLeavesTheMeanOfAllBatches(t *testing.T) {
	ctx := context.Background()
	tr := open(t, stripes(t, 3, 24, 12), tiny(100)) // three batches of 8
	const layer = "bn1.running_mean"
	got, start := make([]float32, 64), make([]float32, 64)
	for i := range start {
		start[i] = 9 // must be forgotten
	}
	if err := tr.runner.Store.Write(layer, start); err != nil {
		t.Fatal(err)
	}
	if err := tr.calibrate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tr.runner.Store.Read(layer, got); err != nil {
		t.Fatal(err)
	}
	// The first layer is linear: the mean over equal batches is the mean of one run with ρ = 1 on each of them.
	want := make([]float64, 64)
	prog, err := tr.runner.Program(model.Calibrate, 8, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	pixels, err := prog.Input(model.InPixels)
	if err != nil {
		t.Fatal(err)
	}
	one := make([]float32, 64)
	for i := 0; i < 24; i += 8 {
		if err := tr.data.evaluation(ctx, tr.data.train[i:i+8], pixels); err != nil {
			t.Fatal(err)
		}
		args := ir.Args{BNMomentum: 1}
		if err := prog.Forward(ctx, &args); err != nil {
			t.Fatal(err)
		}
		if err := prog.Backward(ctx, &args); err != nil {
			t.Fatal(err)
		}
		if err := tr.runner.Store.Read(layer, one); err != nil {
			t.Fatal(err)
		}
		for c, v := range one {
			want[c] += float64(v) / 3
		}
	}
	for c := range want {
		if math.Abs(float64(got[c])-want[c]) > 1e-5*(1+math.Abs(want[c])) {
			t.Fatalf("channel %d: got %v, want %v", c, got[c], want[c])
		}
	}
}

func TestCalibrationTakesASplitSmallerThanABatchSeveralTimes(t *testing.T) {
	o := tiny(100)
	o.BatchSize, o.ImagesPerClass = 32, 4
	tr := open(t, stripes(t, 3, 12, 12), o) // under the race detector: the same image on several goroutines
	if err := tr.calibrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	mean := make([]float32, 64)
	if err := tr.runner.Store.Read("bn1.running_mean", mean); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(mean, func(v float32) bool { return v != 0 }) {
		t.Error("the running mean is as at the start")
	}
}

func TestBatchNormIsFrozenFromTrainedWeightsUnlessTheyAreWarmedUp(t *testing.T) {
	d := stripes(t, 3, 24, 12)
	first, err := Run(context.Background(), onednn.Backend{}, d, tiny(2), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range []*float64{nil, new(0.5)} {
		o := tiny(4)
		o.Init, o.WarmupShare = first.Last.Pretrained(), share
		tr := open(t, d, o)
		tr.frozen = false
		warm := 0
		tr.tell = newTeller(func(p *Progress) bool {
			if p.Event == EventStep && p.Stage == Warmup {
				warm++
			}
			if p.Event == EventStep && tr.frozen != (p.Stage != Warmup) {
				t.Errorf("step %d in %v: BatchNorm frozen: %v", p.Step, p.Stage, tr.frozen)
			}
			return true
		})
		if err := tr.run(context.Background()); err != nil || (warm == 0) != (share == nil) {
			t.Errorf("%d steps of warm-up, %v", warm, err)
		}
	}
}

// A share of few steps rounds to no warm-up at all.
func TestLearnersFromTheStartAreClusteredBeforeTheFirstStepWithoutAWarmup(t *testing.T) {
	for _, c := range []struct {
		learners int
		steps    int64
	}{{2, 1}, {3, 4}, {12, 4}} {
		o := tiny(c.steps)
		o.Learners, o.WarmupShare = c.learners, new(0.1)
		tr := open(t, stripes(t, 3, 30, 12), o)
		tr.frozen = false
		clustered, steps := 0, 0
		tr.tell = newTeller(func(p *Progress) bool {
			switch {
			case p.Event == EventNote && len(p.Sizes) == c.learners:
				clustered++
			case p.Event == EventStep:
				steps++
				if clustered == 0 || !tr.frozen || p.Stage == Warmup || math.IsNaN(p.Loss) {
					t.Errorf("%d learners, step %d in %v: %d groupings before, BatchNorm frozen: %v, loss %v",
						c.learners, p.Step, p.Stage, clustered, tr.frozen, p.Loss)
				}
			}
			return true
		})
		if err := tr.run(context.Background()); err != nil || tr.sched.warmup != 0 || steps != int(c.steps) {
			t.Errorf("%d learners: %v after %d steps, %d of warm-up", c.learners, err, steps, tr.sched.warmup)
		}
		m, err := tr.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Check(); err != nil {
			t.Errorf("%d learners: %v", c.learners, err)
		}
	}
}
