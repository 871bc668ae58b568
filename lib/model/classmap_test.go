package model

import (
	"context"
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/errs"
)

// gated is F' = F ⊙ A of a picture, [places][channels], and the scores.
func gated(t *testing.T, s *Session, p Picture) (f [][]float64, scores []float64) {
	t.Helper()
	x, err := s.side(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	const channels = 256
	for i := range len(x.features) / channels {
		row := make([]float64, channels)
		for c := range row {
			row[c] = float64(x.features[i*channels+c]) * float64(x.gate[i])
		}
		f = append(f, row)
	}
	for _, v := range x.head {
		scores = append(scores, float64(v))
	}
	return f, scores
}

// scoreOf is W·GAP(F') + b of a class.
func scoreOf(m *Model, f [][]float64, class int) float64 {
	sum := float64(m.Weights[EmbeddingBias][class])
	for c := range f[0] {
		mean := 0.0
		for p := range f {
			mean += f[p][c] / float64(len(f))
		}
		sum += float64(m.Weights[EmbeddingWeight][class*len(f[0])+c]) * mean
	}
	return sum
}

// naiveGradCAM follows the definition: the gradient of the score by every element of F' from finite differences, its mean over places, the weighted
// sum, the ReLU.
func naiveGradCAM(m *Model, f [][]float64, class int) []float64 {
	const step = 1e-3 // the score is linear, so any step gives the slope
	before := scoreOf(m, f, class)
	out := make([]float64, len(f))
	for c := range f[0] {
		alpha := 0.0
		for p := range f {
			f[p][c] += step
			alpha += (scoreOf(m, f, class) - before) / step / float64(len(f))
			f[p][c] -= step
		}
		for p := range f {
			out[p] += alpha * f[p][c]
		}
	}
	top := 0.0
	for p, v := range out {
		out[p] = max(0, v)
		top = max(top, out[p])
	}
	for p := range out {
		out[p] /= top
	}
	return out
}

func TestTheClassMapIsGradCAM(t *testing.T) {
	m := classifier(t)
	s := session(t, m)
	p := Picture{noise("x", 32*48*3), 32, 48}
	f, scores := gated(t, s, p)
	for class := range 2 {
		if want := scoreOf(m, f, class); math.Abs(scores[class]-want) > 1e-5 {
			t.Fatalf("class %d: the network scores %v, W·GAP(F')+b is %v", class, scores[class], want)
		}
		grid := make([]float32, 2*3)
		got, err := s.ClassMap(context.Background(), p, class, grid)
		if err != nil || got != class {
			t.Fatalf("got class %d, %v", got, err)
		}
		for i, want := range naiveGradCAM(m, f, class) {
			if math.Abs(float64(grid[i])-want) > 1e-6 {
				t.Errorf("class %d, place %d: got %v, want %v", class, i, grid[i], want)
			}
		}
	}
	best := 0
	if scores[1] > scores[0] {
		best = 1
	}
	if got, err := s.ClassMap(context.Background(), p, Predicted, make([]float32, 6)); err != nil || got != best {
		t.Errorf("the predicted class: got %d, %v, want %d", got, err, best)
	}
}

func TestAClassThatNothingSpeaksForHasAMapOfZeros(t *testing.T) {
	m := classifier(t)
	for c := range 256 {
		m.Weights[EmbeddingWeight][c] = -1 // features and attention are not negative
	}
	grid := []float32{9, 9, 9, 9}
	if _, err := session(t, m).ClassMap(context.Background(), Picture{noise("x", 32*32*3), 32, 32}, 0, grid); err != nil {
		t.Fatal(err)
	}
	for _, v := range grid {
		if v != 0 {
			t.Fatalf("got %v", grid)
		}
	}
}

func TestTheSelfMapIsThePositivePartOfAPairsMap(t *testing.T) {
	for name, m := range map[string]*Model{"embedding": testModel(t, small), "classification": classifier(t)} {
		s := session(t, m)
		p := Picture{noise("x", 48*48*3), 48, 48}
		ex, err := s.ExplainPair(context.Background(), p, p, Whole)
		if err != nil {
			t.Fatal(err)
		}
		grid, top := make([]float32, 9), float32(0)
		if err := s.SelfMap(context.Background(), p, grid); err != nil {
			t.Fatal(err)
		}
		for _, v := range ex.MapA {
			top = max(top, v)
		}
		for i, v := range ex.MapA {
			if want := max(0, v) / top; math.Abs(float64(grid[i]-want)) > 1e-6 {
				t.Errorf("%s, place %d: got %v, want %v", name, i, grid[i], want)
			}
		}
	}
}

func TestTheActivationMapIsTheScaledNormOfTheFeatures(t *testing.T) {
	for name, m := range map[string]*Model{"embedding": testModel(t, small), "classification": classifier(t)} {
		s := session(t, m)
		p := Picture{noise("x", 48*48*3), 48, 48}
		x, err := s.side(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		grid, want := make([]float32, 9), make([]float64, 9)
		if err := s.ActivationMap(context.Background(), p, grid); err != nil {
			t.Fatal(err)
		}
		for i, v := range x.features {
			want[i*9/len(x.features)] += float64(v) * float64(v)
		}
		low, high := math.Inf(1), 0.0
		for _, v := range want {
			low, high = min(low, math.Sqrt(v)), max(high, math.Sqrt(v))
		}
		for i, v := range want {
			if v := (math.Sqrt(v) - low) / (high - low); math.Abs(float64(grid[i])-v) > 1e-6 {
				t.Errorf("%s, place %d: got %v, want %v", name, i, grid[i], v)
			}
		}
	}
}

func TestAnActivationMapOfEqualPlacesIsZero(t *testing.T) {
	m := testModel(t, small)
	grid := []float32{1}
	if err := session(t, m).ActivationMap(context.Background(), Picture{noise("x", 16*16*3), 16, 16}, grid); err != nil {
		t.Fatal(err)
	}
	if grid[0] != 0 {
		t.Errorf("one place: got %v, want 0", grid[0])
	}
}

func TestClassProbabilitiesAreTheSoftmaxOfTheScores(t *testing.T) {
	m := classifier(t)
	s := session(t, m)
	const n = 3
	images := noise("images", n*32*32*3)
	fill := func(first, _ int, dst []byte) error {
		copy(dst, images[first*32*32*3:])
		return nil
	}
	got := make([]float32, n*2)
	if err := s.Classify(context.Background(), n, fill, got); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		_, scores := gated(t, s, Picture{images[i*32*32*3:][:32*32*3], 32, 32})
		want := 1 / (1 + math.Exp(scores[0]-scores[1]))
		if math.Abs(float64(got[2*i+1])-want) > 1e-6 || math.Abs(float64(got[2*i]+got[2*i+1])-1) > 1e-6 {
			t.Errorf("image %d: got %v, want %v of the second", i, got[2*i:2*i+2], want)
		}
	}
	if err := s.Classify(context.Background(), 0, fill, nil); err != nil {
		t.Errorf("no image: %v", err)
	}
	large := make([]float32, 2)
	softmax([]float32{1000, 998}, large)
	if math.Abs(float64(large[0])-1/(1+math.Exp(-2))) > 1e-6 {
		t.Errorf("large scores: got %v", large)
	}
}

func TestClassMapsRefuseWhatMakesNoSense(t *testing.T) {
	s := session(t, classifier(t))
	ctx := context.Background()
	p := Picture{noise("x", 32*32*3), 32, 32}
	other := session(t, testModel(t, small))
	grid := make([]float32, 4)
	for _, c := range []struct {
		name string
		err  error
		want errs.Kind
	}{
		{"a class that is not there", second(s.ClassMap(ctx, p, 2, grid)), errs.Invalid},
		{"a negative class", second(s.ClassMap(ctx, p, -2, grid)), errs.Invalid},
		{"too little room", second(s.ClassMap(ctx, p, 0, grid[:3])), errs.Invalid},
		{"a picture without pixels", second(s.ClassMap(ctx, Picture{}, 0, nil)), errs.Invalid},
		{"a network without class scores", second(other.ClassMap(ctx, p, 0, grid)), errs.Unsupported},
		{"probabilities of a network without class scores", other.Classify(ctx, 0, nil, nil), errs.Unsupported},
		{"too little room for probabilities", s.Classify(ctx, 1, nil, grid[:1]), errs.Invalid},
		{"too little room for a self map", other.SelfMap(ctx, p, grid[:3]), errs.Invalid},
		{"too little room for an activation map", other.ActivationMap(ctx, p, grid[:3]), errs.Invalid},
	} {
		if errs.KindOf(c.err) != c.want {
			t.Errorf("%s: got %v, want kind %v", c.name, c.err, c.want)
		}
	}
}

func TestANetworkWithoutAttentionHasAClassMapToo(t *testing.T) {
	m := classifier(t)
	a := m.Arch
	a.Attention = NoAttention
	w, err := Init(a, m.Learners.Subspaces(), 5)
	if err != nil {
		t.Fatal(err)
	}
	plain := &Model{Arch: a, Head: ClassificationHead, InputSize: 32, ClassNames: m.ClassNames, Learners: m.Learners, Weights: w}
	t.Cleanup(func() { plain.Close() })
	s, err := plain.NewSession(goref.Backend{}, backend.Options{}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	grid := make([]float32, 4)
	if _, err := s.ClassMap(context.Background(), Picture{noise("x", 32*32*3), 32, 32}, 0, grid); err != nil {
		t.Fatal(err)
	}
	if top := grid[highest(grid)]; top != 1 {
		t.Errorf("the largest value is %v, want 1", top)
	}
}
