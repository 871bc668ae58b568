package model

import (
	"context"
	"math"
	"slices"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/rng"
)

var small = Arch{Backbone: "resnet18", Stem: "standard", Attention: "gate", EmbeddingDim: 12}

// testModel is untrained, with two learners and 32×32 inputs.
func testModel(t *testing.T, a Arch) *Model {
	t.Helper()
	set, err := learner.New(a.EmbeddingDim, 2)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Init(a, set.Subspaces(), 5)
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{Arch: a, Head: EmbeddingHead, InputSize: 32, Learners: set, Weights: w}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func session(t *testing.T, m *Model) *Session {
	t.Helper()
	s, err := m.NewSession(goref.Backend{}, backend.Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func noise(name string, n int) []byte {
	r := rng.New(9, name)
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

func TestEmbeddingsHaveUnitLengthAndDoNotDependOnTheirNeighbours(t *testing.T) {
	m := testModel(t, small)
	s := session(t, m)
	images := noise("images", 5*32*32*3) // a batch of 8
	fill := func(first, count int, dst []byte) error {
		copy(dst, images[first*len(dst)/count:])
		return nil
	}
	both, one := make([]float32, 5*12), make([]float32, 12)
	if err := s.Embed(context.Background(), 5, fill, both); err != nil {
		t.Fatal(err)
	}
	if err := s.Embed(context.Background(), 1, fill, one); err != nil {
		t.Fatal(err)
	}
	for i := range one {
		if math.Abs(float64(one[i]-both[i])) > 1e-5 {
			t.Fatalf("element %d: alone %v, in a batch %v", i, one[i], both[i])
		}
	}
	var sum, diff float64
	for i, v := range both[12:24] {
		sum += float64(v) * float64(v)
		diff += math.Abs(float64(v - both[i]))
	}
	if math.Abs(sum-1) > 1e-5 || diff < 1e-4 {
		t.Fatalf("length² %v; difference of two images %v", sum, diff)
	}
}

// padding is a backend that prefers batches that are not full.
type padding struct{ backend.Backend }

func (padding) Batches() backend.Batches { return backend.Batches{Pixels: 1 << 19, Padded: true} }

func TestBatchesAreFilledForMoreThanHalfAndFitTheBackend(t *testing.T) {
	r := session(t, testModel(t, small)).runner
	all := func(n, size int) (batches []int) {
		for n > 0 {
			batches = append(batches, r.batch(n, size*size))
			n -= batches[len(batches)-1]
		}
		return batches
	}
	for _, c := range []struct {
		n, size int
		want    []int
	}{
		{1, 64, []int{1}}, {4, 64, []int{1, 1, 1, 1}}, {5, 64, []int{8}}, {17, 64, []int{32}}, {128 + 40, 64, []int{128, 32, 8}}, {65, 64, []int{128}},
		{40, 128, []int{32, 8}}, {40, 224, []int{8, 8, 8, 8, 8}}, {2, 1000, []int{1, 1}},
	} {
		if got := all(c.n, c.size); !slices.Equal(got, c.want) {
			t.Errorf("%d images of %d pixels: got batches of %v, want %v", c.n, c.size, got, c.want)
		}
	}
	r.backend = padding{r.backend}
	for n, want := range map[int]int{1: 1, 2: 8, 8: 8, 9: 32, 33: 128, 200: 128} {
		if got := r.batch(n, 64*64); got != want {
			t.Errorf("%d images, padded: got a batch of %d, want %d", n, got, want)
		}
	}
	alone, err := testModel(t, small).NewSession(goref.Backend{}, backend.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if alone.runner.batch(100, 64) != 1 {
		t.Error("a session whose embeddings do not depend on others computes more than one at once")
	}
}

func TestExplanationsSumToTheCosineOfTheEmbeddings(t *testing.T) {
	for _, attention := range []string{Gate, NoAttention} {
		a := small
		a.Attention = attention
		m := testModel(t, a)
		for i := range m.Weights[EmbeddingBias] { // a bias that matters
			m.Weights[EmbeddingBias][i] = 0.3 * float32(i%3)
		}
		s := session(t, m)
		x, y := noise("x", 32*32*3), noise("y", 32*32*3)
		emb := make([]float32, 24)
		err := s.Embed(context.Background(), 2, pixelsOf(x, y), emb)
		if err != nil {
			t.Fatal(err)
		}
		for k := Whole; k < 2; k++ {
			ex, err := s.ExplainPair(context.Background(), Picture{x, 32, 32}, Picture{y, 32, 32}, k)
			if err != nil {
				t.Fatal(err)
			}
			want, scale := 0.0, 1.0
			if k != Whole {
				scale = 2 // a learner's part of the embedding has length 1/√2
			}
			for i := range 12 {
				if k == Whole || i/6 == k {
					want += scale * float64(emb[i]) * float64(emb[12+i])
				}
			}
			sumA, sumB := ex.BiasA, ex.BiasB
			for i := range ex.MapA {
				sumA += float64(ex.MapA[i])
				sumB += float64(ex.MapB[i])
			}
			if max(math.Abs(sumA-want), math.Abs(sumB-want), math.Abs(ex.Similarity-want)) > 1e-5 || len(ex.MapA) != 4 {
				t.Errorf("attention %s, learner %d: sums %v and %v, similarity %v, want %v", attention, k, sumA, sumB, ex.Similarity, want)
			}
		}
	}
}

// classifier is a classification network of the same weights, with two classes.
func classifier(t *testing.T) *Model {
	t.Helper()
	a := small
	a.EmbeddingDim = 2
	m := testModel(t, a)
	var err error
	if m.Learners, err = learner.New(2, 1); err != nil {
		t.Fatal(err)
	}
	m.Head, m.ClassNames = ClassificationHead, []string{"a", "b"}
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAClassificationNetworkEmbedsWithItsUnitPenultimateVector(t *testing.T) {
	m := classifier(t)
	s := session(t, m)
	x, y := noise("x", 32*32*3), noise("y", 32*32*3)
	fill := pixelsOf(x, y)
	d := m.EmbeddingDim()
	emb, v := make([]float32, 2*d), make([]float32, 0, 2*d)
	if err := s.Embed(context.Background(), 2, fill, emb); err != nil {
		t.Fatal(err)
	}
	err := s.runner.Run(context.Background(), Embed, 2, 32, 32, fill, func(r *Result) error {
		v = append(v, r.Penultimate...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	length := math.Sqrt(dot(v[:d], v[:d]))
	for i := range d {
		if got, want := float64(emb[i]), float64(v[i])/length; d != 256 || math.Abs(got-want) > 1e-6 {
			t.Fatalf("element %d of %d: got %v, want %v", i, d, got, want)
		}
	}
	for _, k := range []int{Whole, 0} {
		ex, err := s.ExplainPair(context.Background(), Picture{x, 32, 32}, Picture{y, 32, 32}, k)
		if err != nil {
			t.Fatal(err)
		}
		sum, want := ex.BiasA, dot(emb[:d], emb[d:])
		for _, c := range ex.MapA {
			sum += float64(c)
		}
		if ex.BiasA != 0 || max(math.Abs(sum-want), math.Abs(ex.Similarity-want)) > 1e-5 {
			t.Errorf("learner %d: the map sums to %v, similarity %v, want %v", k, sum, ex.Similarity, want)
		}
	}
}

// pixelsOf fills in images of one size.
func pixelsOf(images ...[]byte) func(first, count int, dst []byte) error {
	return func(first, count int, dst []byte) error {
		for i, image := range images[first : first+count] {
			copy(dst[i*len(image):], image)
		}
		return nil
	}
}

func dot(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestAHeadMustFitTheRestOfTheModel(t *testing.T) {
	for name, change := range map[string]func(m *Model){
		"an unknown head":               func(m *Model) { m.Head = "regression" },
		"fewer class names than scores": func(m *Model) { m.ClassNames = m.ClassNames[:1] },
		"learners of class scores":      func(m *Model) { m.Learners, _ = learner.New(2, 2) },
	} {
		m := classifier(t)
		change(m)
		if err := m.Check(); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAttentionMapsLieBetweenZeroAndOneAtAnySize(t *testing.T) {
	s := session(t, testModel(t, small))
	gh, gw := Grid("standard", 40, 50)
	grid := make([]float32, gh*gw)
	if err := s.Attention(context.Background(), Picture{noise("x", 40*50*3), 40, 50}, grid); err != nil {
		t.Fatal(err)
	}
	for _, v := range grid {
		if v <= 0 || v >= 1 {
			t.Fatalf("attention %v", v)
		}
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	m := testModel(t, small)
	s := session(t, m)
	none := small
	none.Attention = NoAttention
	ctx := context.Background()
	image := Picture{noise("x", 32*32*3), 32, 32}
	broken := m.Weights.Clone()
	broken["conv1.weight"][3] = float32(math.NaN())
	negative := m.Weights.Clone()
	negative["bn1.running_var"][3] = -1
	short := m.Weights.Clone()
	delete(short, EmbeddingBias)
	for _, c := range []struct {
		name string
		err  error
		want errs.Kind
	}{
		{"an unknown backbone", Arch{"vgg", "standard", "gate", 8}.Check(), errs.Invalid},
		{"an unknown stem", Arch{"resnet18", "big", "gate", 8}.Check(), errs.Invalid},
		{"an unknown attention", Arch{"resnet18", "small", "much", 8}.Check(), errs.Invalid},
		{"no dimension", Arch{"resnet18", "small", "gate", 0}.Check(), errs.Invalid},
		{"a weight that is not a number", broken.Check(small), errs.Corrupt},
		{"a negative variance", negative.Check(small), errs.Corrupt},
		{"a missing weight", short.Check(small), errs.Corrupt},
		{"too little room", s.Embed(ctx, 1, nil, make([]float32, 3)), errs.Invalid},
		{"a learner that is not there", second(s.ExplainPair(ctx, image, image, 2)), errs.Invalid},
		{"pixels of another size", second(s.ExplainPair(ctx, Picture{image.Pixels[3:], 32, 32}, image, 0)), errs.Invalid},
		{"a heatmap without attention", session(t, testModel(t, none)).Attention(ctx, image, nil), errs.Unsupported},
	} {
		if errs.KindOf(c.err) != c.want {
			t.Errorf("%s: got %v, want kind %v", c.name, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestEveryArchitectureLowersForTraining(t *testing.T) {
	for _, b := range []string{"resnet18", "resnet34", "resnet50"} {
		for _, stem := range []string{"standard", "small"} {
			for _, mode := range []Mode{Embed, Explain, Train, TrainBatch, Calibrate} {
				if _, err := Program(Arch{b, stem, Gate, 128}, mode, 2, 65, 64); err != nil {
					t.Errorf("%s %s mode %d: %v", b, stem, mode, err)
				}
			}
		}
	}
}
