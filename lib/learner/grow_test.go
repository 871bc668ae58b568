package learner

import (
	"math"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

func TestScoresAreTheScaledMeansOfTheNewestLearner(t *testing.T) {
	s, err := FromSubspaces(6, [][]int{{0, 3}, {1, 2, 4, 5}})
	if err != nil {
		t.Fatal(err)
	}
	var a Scores
	e, de := draw(1, 6*7), draw(2, 6*7)
	for _, cut := range [][2]int{{0, 2}, {2, 3}, {3, 7}} { // batches of different sizes
		if err := a.Add(s, e[cut[0]*6:cut[1]*6], de[cut[0]*6:cut[1]*6]); err != nil {
			t.Fatal(err)
		}
	}
	want := make([]float64, 4) // the method's words: |mean|, over the l2 norm, scaled by minimum and maximum
	var length float64
	for i, n := range []int{1, 2, 4, 5} {
		for r := range 7 {
			want[i] += float64(e[r*6+n]) * float64(de[r*6+n]) / 7
		}
		want[i] = math.Abs(want[i])
		length += want[i] * want[i]
	}
	low, high := slices.Min(want)/math.Sqrt(length), slices.Max(want)/math.Sqrt(length)
	got := a.Normalised()
	for i := range want {
		if v := (want[i]/math.Sqrt(length) - low) / (high - low); math.Abs(got[i]-v) > 1e-12 {
			t.Errorf("neuron %d: got %v, want %v", i, got[i], v)
		}
	}
	if a.Count != 7 {
		t.Errorf("got %d images, want 7", a.Count)
	}
}

func TestScoresAtTheEdges(t *testing.T) {
	s, _ := New(4, 1)
	var a Scores
	if got := a.Normalised(); got != nil {
		t.Errorf("no image: got %v, want nil", got)
	}
	same := []float32{1, 1, 1, 1}
	if err := a.Add(s, same, same); err != nil {
		t.Fatal(err)
	}
	if got := a.Normalised(); !slices.Equal(got, make([]float64, 4)) {
		t.Errorf("equal means: got %v, want zeros", got)
	}
	half, _ := New(4, 2)
	if err := a.Add(half, same, same); errs.KindOf(err) != errs.Invalid {
		t.Errorf("another learner without a reset: got %v, want an invalid-argument error", err)
	}
	a.Reset()
	if err := a.Add(half, same, same); err != nil || a.Count != 1 || len(a.Sum) != 2 {
		t.Errorf("after a reset: got %v, %v", a, err)
	}
}

// highAt gives 1 to the given places of n scores, and the boundary 0.5 to the others.
func highAt(n int, at ...int) []float64 {
	scores := slices.Repeat([]float64{0.5}, n)
	for _, i := range at {
		scores[i] = 1
	}
	return scores
}

func TestGrowSplitsTheNewestLearner(t *testing.T) {
	s, err := FromSubspaces(14, [][]int{{0, 7}, {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13}})
	if err != nil {
		t.Fatal(err)
	}
	reset, refusal := s.Grow(highAt(12, 0, 2, 4, 6, 8, 11))
	want := [][]int{{0, 7}, {1, 3, 5, 8, 10, 13}, {2, 4, 6, 9, 11, 12}}
	if refusal != "" || !slices.EqualFunc(s.Subspaces(), want, slices.Equal) || !slices.Equal(reset, want[2]) {
		t.Fatalf("got %v, reset %v, refusal %q; want %v", s.Subspaces(), reset, refusal, want)
	}
	if err := Validate(14, s.Subspaces()); err != nil {
		t.Fatal(err)
	}
}

func TestGrowRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		dim    int
		scores []float64
		want   string
	}{
		{"ten neurons", 10, highAt(10, 0, 1, 2, 3, 4), "more than 10"},
		{"four neurons above 0.5", 12, highAt(12, 0, 1, 2, 3), "each needs 5"},
		{"four neurons left", 12, highAt(12, 0, 1, 2, 3, 4, 5, 6, 7), "each needs 5"},
		{"equal scores", 12, make([]float64, 12), "equal"},
		{"scores of another learner", 12, make([]float64, 11), "11 scores"},
		{"no scores", 12, nil, "0 scores"},
		{"a NaN", 12, append(highAt(11, 1, 2, 3, 4, 5), math.NaN()), "outside"},
		{"a score above 1", 12, append(make([]float64, 11), 2), "outside"},
	} {
		s, _ := New(c.dim, 1)
		reset, refusal := s.Grow(c.scores)
		if reset != nil || !strings.Contains(refusal, c.want) || refusal == "" || s.NumLearners() != 1 {
			t.Errorf("%s: got reset %v, refusal %q, %d learners", c.name, reset, refusal, s.NumLearners())
		}
	}
	s, _ := New(11, 1) // the smallest that may grow, at the smallest part
	if reset, refusal := s.Grow(highAt(11, 0, 1, 2, 3, 4)); len(reset) != 6 || refusal != "" {
		t.Errorf("eleven neurons, five above 0.5: got reset %v, refusal %q", reset, refusal)
	}
}
