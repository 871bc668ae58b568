package train

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/model"
)

// open makes a trainer whose learners are about to train, with frozen BatchNorm.
func open(t *testing.T, d *dataset.Dataset, o Options) *Trainer {
	t.Helper()
	if err := o.Fill(); err != nil {
		t.Fatal(err)
	}
	tr := &Trainer{o: o, backend: onednn.Backend{}, tell: newTeller(nil), frozen: true}
	tr.learnerGradient = tr.gradientOf
	var err error
	if tr.data, err = openData(context.Background(), d, &tr.o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.data.close)
	if err = tr.openLoss(); err != nil {
		t.Fatal(err)
	}
	tr.sched = newSchedule(&tr.o, 4)
	tr.growth.improved, tr.best.score.NMI = math.Inf(-1), math.Inf(-1)
	w, err := tr.initial()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.openNetwork(tr.o.Arch, w); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.closeNetwork)
	tr.frozen = true
	return tr
}

// stepOn trains learner k on one batch of all images.
func stepOn(t *testing.T, tr *Trainer, k int, stage Stage) {
	t.Helper()
	ctx := context.Background()
	prog, err := tr.program()
	if err != nil {
		t.Fatal(err)
	}
	samplers, err := tr.samplersOf([][]int{tr.data.train})
	if err != nil {
		t.Fatal(err)
	}
	tr.data.begin(1, func() (int, []int) { return k, samplers[0].next() })
	b, err := tr.data.next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.data.release(b)
	if _, err := tr.learnerStep(ctx, prog, b, stage); err != nil {
		t.Fatal(err)
	}
}

// rowState is an embedding row's weights, bias, moments and counts.
func rowState(t *testing.T, tr *Trainer, row int) (out []float32) {
	t.Helper()
	d := tr.o.Arch.EmbeddingDim
	for _, name := range []string{model.EmbeddingWeight, model.EmbeddingBias} {
		for _, full := range []string{name, model.MomentName(name), model.VarianceName(name)} {
			n := d
			if name == model.EmbeddingWeight {
				n = d * 256
			}
			v := make([]float32, n)
			if err := tr.runner.Store.Read(full, v); err != nil {
				t.Fatal(err)
			}
			out = append(out, v[row*n/d:(row+1)*n/d]...)
		}
		c := make([]int32, d)
		if err := tr.runner.Store.ReadInts(model.CountName(name), c); err != nil {
			t.Fatal(err)
		}
		out = append(out, float32(c[row]))
	}
	return out
}

func TestALearnersStepLeavesTheRowsOfOthersAsTheyAre(t *testing.T) {
	o := tiny(4)
	o.Learners, o.WarmupShare = 2, new(0.1)
	tr := open(t, stripes(t, 3, 30, 12), o)
	tr.current = clusters{}
	stepOn(t, tr, 1, Learn) // moments of learner 1 are not zero any more
	before := make([][]float32, o.Arch.EmbeddingDim)
	for r := range before {
		before[r] = rowState(t, tr, r)
	}
	stepOn(t, tr, 0, Learn)
	for r := range before {
		same := slices.Equal(before[r], rowState(t, tr, r))
		if own := slices.Contains(tr.set.Subspace(0), r); own == same {
			t.Errorf("row %d: of learner 0: %v, unchanged: %v", r, own, same)
		}
	}
	stepOn(t, tr, 0, Finetune)
	for _, r := range []int{0, o.Arch.EmbeddingDim - 1} {
		if slices.Equal(before[r], rowState(t, tr, r)) {
			t.Errorf("fine-tuning left row %d as it was", r)
		}
	}
}

func TestTheFirstUpdateOfAResetRowHasTheSizeOfTheRate(t *testing.T) {
	o := tiny(4)
	o.LearningRate, o.RateDecay = 1e-3, false
	tr := open(t, stripes(t, 3, 30, 12), o)
	tr.current = clusters{whole: true}
	for range 6 {
		stepOn(t, tr, 0, Learn)
	}
	const row = 3
	tr.growth.count = 1
	if err := tr.resetRows([]int{row}); err != nil {
		t.Fatal(err)
	}
	fresh := rowState(t, tr, row)
	for i, v := range fresh[256 : 3*256] {
		if v != 0 {
			t.Fatalf("moment %d of a reset row is %v", i, v)
		}
	}
	tr.sched.o.RateDecay = false
	stepOn(t, tr, 0, Learn)
	after := rowState(t, tr, row)
	rate := tr.args.RowLR
	moved := 0
	for i := range 256 {
		size := math.Abs(float64(after[i] - fresh[i]))
		if size > 1.01*rate {
			t.Fatalf("weight %d moved by %v at rate %v", i, size, rate)
		}
		if size > 0.9*rate {
			moved++
		}
	}
	if moved < 200 { // the first Adam step is ±rate wherever the gradient is well above ε
		t.Fatalf("only %d of 256 weights moved by about the rate", moved)
	}
}

func TestImagesAloneOfTheirClassSitOutAndKeepTheirCluster(t *testing.T) {
	tr := open(t, stripes(t, 3, 12, 12), tiny(4))
	// labels are 0 1 2 0 1 2 …: cluster 1 gets one image of class 0, two of class 1
	c := clusters{assigned: []int{1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, members: make([][]int, 2)}
	if out := tr.fillMembers(&c); out != 1 {
		t.Fatalf("%d images sit out, want 1", out)
	}
	if !slices.Equal(c.members[1], []int{1, 4}) || len(c.members[0]) != 9 || c.assigned[0] != 1 {
		t.Fatalf("members %v, assigned %v", c.members, c.assigned)
	}
}

func TestGrowthWaitsForAPlateauAfterAnImprovement(t *testing.T) {
	ctx := context.Background()
	o := tiny(100)
	o.Patience, o.WarmupShare = 2, new(0.0)
	tr := open(t, stripes(t, 3, 30, 12), o)
	tr.current = clusters{whole: true}
	stepOn(t, tr, 0, Learn)
	grow := func() int {
		if err := tr.maybeGrow(ctx, Learn); err != nil {
			t.Fatal(err)
		}
		return tr.set.NumLearners()
	}
	own := tr.growth.scores.Sum
	for i := range own { // half of the neurons matter
		own[i] = float64(i % 2)
	}
	for i, nmi := range []float64{0.3, 0.2, 0.25} {
		if k := grow(); k != 1 {
			t.Fatalf("grew after %d validations", i)
		}
		tr.growth.observe(nmi)
	}
	if k := grow(); k != 2 {
		t.Fatalf("got %d learners after two validations without a better NMI", k)
	}
	tr.growth.observe(0.1)
	tr.growth.observe(0.1)
	if k := grow(); k != 2 {
		t.Fatal("grew again without an improvement in between")
	}
	tr.growth.observe(0.5)
	tr.growth.observe(0.1)
	tr.growth.observe(0.1)
	tr.done = tr.sched.lastGrowth
	if k := grow(); k != 2 {
		t.Fatal("grew although fine-tuning is near")
	}
}

func TestClustersFollowTheLearnersAfterAGrowth(t *testing.T) {
	ctx := context.Background()
	o := tiny(100)
	o.WarmupShare = new(0.0)
	tr := open(t, stripes(t, 3, 30, 12), o)
	var err error
	if tr.current, err = tr.wholeCluster(); err != nil {
		t.Fatal(err)
	}
	scores := make([]float64, o.Arch.EmbeddingDim)
	for i := range scores {
		scores[i] = float64(i % 2)
	}
	if reset, why := tr.set.Grow(scores); len(reset) != o.Arch.EmbeddingDim/2 {
		t.Fatalf("reset %v: %s", reset, why)
	}
	if err := tr.arrange(ctx, Learn); err != nil {
		t.Fatal(err)
	}
	if tr.current.whole || tr.current.numClusters() != 2 {
		t.Fatalf("got %d clusters, whole %v", tr.current.numClusters(), tr.current.whole)
	}
	total := 0
	for _, m := range tr.current.members {
		total += len(m)
	}
	if len(tr.current.members[0]) < len(tr.current.members[1]) {
		t.Errorf("clusters of %d and %d images: the larger one left learner 0", len(tr.current.members[0]), len(tr.current.members[1]))
	}
	if total < 28 || total > 30 {
		t.Fatalf("%d of 30 images are in a cluster", total)
	}
	if err := tr.arrange(ctx, Finetune); err != nil || !tr.current.whole {
		t.Fatalf("fine-tuning: whole %v, %v", tr.current.whole, err)
	}
}

func TestAStepAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	tr := open(t, stripes(t, 3, 30, 12), tiny(100))
	tr.current = clusters{whole: true}
	prog, err := tr.program()
	if err != nil {
		t.Fatal(err)
	}
	n := tr.o.BatchSize
	b := &batch{pixels: make([]byte, n*3*16*16), labels: make([]int64, n)}
	for i := range b.labels {
		b.labels[i] = int64(i / 4)
	}
	for i := range b.pixels {
		b.pixels[i] = byte(i * 7 % 251)
	}
	step := func() {
		if _, err := tr.learnerStep(ctx, prog, b, Learn); err != nil {
			t.Fatal(err)
		}
	}
	step()
	if allocs := testing.AllocsPerRun(10, step); allocs != 0 {
		t.Fatalf("a step makes %v allocations, want 0", allocs)
	}
}

func TestADivergedTrainingSaysWhatMayHelp(t *testing.T) {
	tr := open(t, stripes(t, 3, 30, 12), tiny(100))
	tr.current = clusters{whole: true}
	bias := make([]float32, tr.o.Arch.EmbeddingDim)
	bias[0] = float32(math.NaN())
	if err := tr.runner.Store.Write(model.EmbeddingBias, bias); err != nil {
		t.Fatal(err)
	}
	prog, err := tr.program()
	if err != nil {
		t.Fatal(err)
	}
	n := tr.o.BatchSize
	b := &batch{pixels: make([]byte, n*3*16*16), labels: make([]int64, n)}
	_, err = tr.learnerStep(context.Background(), prog, b, Learn)
	if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "learning_rate") || tr.done != 0 {
		t.Fatalf("after %d steps: got %v", tr.done, err)
	}
}

func TestTheScheduleCountsSteps(t *testing.T) {
	o := Options{Steps: 1200, WarmupShare: new(0.5), FinetuneShare: new(1.0 / 6), WarmupRate: 1e-3, LearningRate: 1e-4, RateDecay: true}
	s := newSchedule(&o, 10)
	if s.warmup != 600 || s.finetune != 1100 || s.lastGrowth != 1040 || s.total != 1200 {
		t.Fatalf("got %+v", s)
	}
	for _, c := range []struct {
		done  int64
		stage Stage
		left  int64
		rate  float64
	}{{0, Warmup, 600, 1e-3}, {300, Warmup, 300, 5e-4}, {600, Learn, 500, 1e-4}, {1099, Learn, 1, 1e-4}, {1100, Finetune, 100, 1e-4},
		{1150, Finetune, 50, 5e-5}, {1200, Done, 0, 1e-4}} {
		if s.stage(c.done) != c.stage || s.left(c.done) != c.left || math.Abs(s.rate(c.done)-c.rate) > 1e-12 {
			t.Errorf("after %d steps: got %v, %d left, rate %v", c.done, s.stage(c.done), s.left(c.done), s.rate(c.done))
		}
	}
	o = Options{Epochs: 3, WarmupShare: new(0.0), FinetuneShare: new(0.0)}
	if s = newSchedule(&o, 10); s.total != 30 || s.stage(0) != Learn {
		t.Fatalf("three epochs of ten steps: got %+v", s)
	}
}

func TestProfilesGiveTheirIntervals(t *testing.T) {
	for _, c := range []struct {
		name                string
		o                   Options
		recluster, patience int
	}{
		{"a short run from scratch", Options{}, 1, 2},
		{"a long run from scratch", Options{Epochs: 300}, 6, 20},
		{"the same length in steps of five an epoch", Options{Steps: 1500}, 6, 20},
		{"steps that replace epochs", Options{Epochs: 300, Steps: 150}, 1, 2},
		{"fewer steps than an epoch has", Options{Steps: 3}, 1, 2},
		{"the paper's", Options{Profile: Paper}, 2, 10},
		{"the paper's with steps", Options{Profile: Paper, Steps: 1500}, 2, 10},
		{"what was asked for", Options{Steps: 1500, Patience: 4, ReclusterEvery: 3}, 3, 4},
	} {
		if err := c.o.Fill(); err != nil {
			t.Fatal(err)
		}
		newSchedule(&c.o, 5)
		if c.o.ReclusterEvery != c.recluster || c.o.Patience != c.patience {
			t.Errorf("%s: every %d epochs, patience %d; want %d and %d", c.name, c.o.ReclusterEvery, c.o.Patience, c.recluster, c.patience)
		}
	}
}

func TestSharesOfZeroAreZeroAndUnsetOnesTheProfiles(t *testing.T) {
	for _, c := range []struct {
		name             string
		warmup, finetune *float64
		begins           int64 // the step where learners begin to train
		ends             int64 // and where fine-tuning begins
	}{
		{"unset", nil, nil, 40, 90},
		{"no warm-up", new(0.0), nil, 0, 83},
		{"no fine-tuning", nil, new(0.0), 40, 100},
		{"neither", new(0.0), new(0.0), 0, 100},
		{"as asked for", new(0.5), new(0.1), 50, 95},
	} {
		o := Options{Steps: 100, WarmupShare: c.warmup, FinetuneShare: c.finetune}
		if err := o.Fill(); err != nil {
			t.Fatal(err)
		}
		if s := newSchedule(&o, 10); s.warmup != c.begins || s.finetune != c.ends || o.Check() != nil {
			t.Errorf("%s: got %d and %d, want %d and %d; %v", c.name, s.warmup, s.finetune, c.begins, c.ends, o.Check())
		}
	}
}

func TestTheEmbeddingHasARateOfItsOwnWhileLearnersTrain(t *testing.T) {
	o := Options{Steps: 100}
	if err := o.Fill(); err != nil {
		t.Fatal(err)
	}
	s := newSchedule(&o, 10)
	for _, c := range []struct {
		done         int64
		rows, others float64
	}{{0, 1e-3, 1e-3}, {40, 1e-3, 1e-4}, {89, 1e-3, 1e-4}, {95, 0.5e-3, 0.5e-4}} { // the cosine is at half its height in the middle of fine-tuning
		if rows, others := s.rates(c.done); math.Abs(rows-c.rows) > 1e-12 || math.Abs(others-c.others) > 1e-12 {
			t.Errorf("after %d steps: got %v and %v, want %v and %v", c.done, rows, others, c.rows, c.others)
		}
	}
	o = Options{Steps: 100, Loss: Classification, LearningRate: 1e-3}
	if err := o.Fill(); err != nil {
		t.Fatal(err)
	}
	s = newSchedule(&o, 10)
	if rows, others := s.rates(50); rows != others {
		t.Errorf("classification: got rates %v and %v, want one", rows, others)
	}
}
