package miner

import (
	"math"
	"slices"
	"testing"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// onSphere places row 0 at the first axis, a second image of its class at the same place, and one negative at each of the given distances.
func onSphere(t *testing.T, dim int, at ...float64) (*distance.Matrix, []int64) {
	t.Helper()
	x, labels := make([]float32, (2+len(at))*dim), []int64{0, 0}
	x[0], x[dim] = 1, 1
	for i, d := range at {
		cos := 1 - d*d/2
		x[(2+i)*dim], x[(2+i)*dim+1] = float32(cos), float32(math.Sqrt(1-cos*cos))
		labels = append(labels, int64(1+i))
	}
	var m distance.Matrix
	if err := m.Compute(x, dim); err != nil {
		t.Fatal(err)
	}
	return &m, labels
}

// probabilities is what the definition says, with plain powers instead of logarithms.
func probabilities(dim int, at []float64) []float64 {
	p, sum := make([]float64, len(at)), 0.0
	for i, d := range at {
		d = max(d, 0.5)
		if q := math.Pow(d, float64(dim-2)) * math.Pow(1-d*d/4, float64(dim-3)/2); d <= 1.4 {
			p[i] = 1 / q
		}
		sum += p[i]
	}
	for i := range p {
		if sum == 0 || dim < 4 {
			p[i] = 1 / float64(len(at))
		} else {
			p[i] /= sum
		}
	}
	return p
}

func TestDistanceWeightedDrawsWithTheDefinedProbabilities(t *testing.T) {
	const batches = 10000 // of two anchors with one draw each
	for _, c := range []struct {
		name string
		dim  int
		at   []float64
	}{
		{"a small learner", 4, []float64{0.2, 0.5, 0.8, 1.1, 1.35}},
		{"one dimension less is uniform", 3, []float64{0.2, 0.5, 0.8, 1.1, 1.35, 1.9}},
		{"a middle-sized learner", 16, []float64{0.9, 0.95, 1, 1.1, 1.2, 1.3}},
		{"a whole embedding", 128, []float64{1.20, 1.21, 1.22, 1.25, 1.3, 1.38}},
		{"below 0.5 all weigh the same", 64, []float64{0.01, 0.1, 0.3, 0.499}},
		{"beyond 1.4 nothing weighs", 8, []float64{1.41, 1.3, 1.35, 1.6}},
		{"nothing left is uniform", 8, []float64{1.41, 1.5, 1.9}},
	} {
		d, labels := onSphere(t, c.dim, c.at...)
		m := NewDistanceWeighted(7)
		var p Pairs
		count := make([]float64, len(c.at))
		for range batches {
			if err := m.Mine(d, labels, &p); err != nil {
				t.Fatal(err)
			}
			if len(p.Negatives) != 2 || p.Negatives[0].Anchor != 0 || p.Negatives[1].Anchor != 1 {
				t.Fatalf("%s: got negatives %v, want one for each of the anchors 0 and 1", c.name, p.Negatives)
			}
			for _, n := range p.Negatives {
				count[n.Other-2]++
			}
		}
		for i, want := range probabilities(c.dim, c.at) {
			got, deviation := count[i]/(2*batches), math.Sqrt(want*(1-want)/(2*batches))
			if math.Abs(got-want) > 4*deviation { // by chance once in 16000 for each; the seed is fixed
				t.Errorf("%s: distance %v: got a share of %v, want %v ± %v", c.name, c.at[i], got, want, deviation)
			}
		}
	}
}

func TestDistanceWeightedMinesAllPositivesAndAsManyNegatives(t *testing.T) {
	r := rng.New(1, "test")
	x, labels := make([]float32, 40*6), make([]int64, 40)
	for i := range x {
		x[i] = float32(r.NormFloat64()) / 3
	}
	for i := range labels {
		labels[i] = int64(r.IntN(5))
	}
	var d distance.Matrix
	if err := d.Compute(x, 6); err != nil {
		t.Fatal(err)
	}
	var p, nearest Pairs
	if err := NewDistanceWeighted(1).Mine(&d, labels, &p); err != nil {
		t.Fatal(err)
	}
	if err := new(Nearest).Mine(&d, labels, &nearest); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Positives, nearest.Positives) {
		t.Errorf("got positives %v, want every ordered pair of a class", p.Positives)
	}
	for i, n := range p.Negatives {
		if n.Anchor != p.Positives[i].Anchor || labels[n.Other] == labels[n.Anchor] {
			t.Fatalf("negative %d: got %v, want one of another class for anchor %d", i, n, p.Positives[i].Anchor)
		}
	}
	if len(p.Negatives) != len(p.Positives) {
		t.Errorf("got %d negatives, want %d", len(p.Negatives), len(p.Positives))
	}
}

func TestDistanceWeightedOfBatchesWithoutPairs(t *testing.T) {
	for _, c := range []struct {
		name      string
		labels    []int64
		positives int
	}{
		{"one image", []int64{0}, 0}, {"one class", []int64{3, 3, 3}, 6}, {"no two images of a class", []int64{0, 1, 2}, 0},
	} {
		m := NewDistanceWeighted(1)
		var p Pairs
		err := m.Mine(onLine(t, make([]float32, len(c.labels))...), c.labels, &p)
		if err != nil || len(p.Positives) != c.positives || len(p.Negatives) != 0 || m.Draws != 0 {
			t.Errorf("%s: got %v after %d draws, %v, want %d positives alone", c.name, p, m.Draws, err, c.positives)
		}
	}
}

func TestDistanceWeightedGoesOnFromItsCounter(t *testing.T) {
	d, labels := onSphere(t, 8, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3)
	var first, second, again Pairs
	m := NewDistanceWeighted(3)
	for range 20 {
		_ = m.Mine(d, labels, &first)
	}
	draws := m.Draws
	_ = m.Mine(d, labels, &second)
	resumed := NewDistanceWeighted(3)
	resumed.Draws = draws
	_ = resumed.Mine(d, labels, &again)
	if draws != 40 || !slices.Equal(again.Negatives, second.Negatives) {
		t.Errorf("after %d draws: got %v, want %v", draws, again.Negatives, second.Negatives)
	}
	differs := false
	other := NewDistanceWeighted(4)
	for range 20 {
		_ = other.Mine(d, labels, &again)
		_ = resumed.Mine(d, labels, &second)
		differs = differs || !slices.Equal(again.Negatives, second.Negatives)
	}
	if !differs {
		t.Error("two seeds drew the same for 20 batches")
	}
}

func TestDistanceWeightedAllocatesNothingInSteadyState(t *testing.T) {
	d, labels := onSphere(t, 8, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3)
	m := NewDistanceWeighted(1)
	var p Pairs
	if allocs := testing.AllocsPerRun(10, func() { _ = m.Mine(d, labels, &p) }); allocs != 0 {
		t.Fatalf("got %v allocations a run, want 0", allocs)
	}
}

func TestEveryMinerRefusesLabelsOfAnotherBatch(t *testing.T) {
	for _, name := range Names() {
		m, err := New(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Mine(onLine(t, 0, 1), []int64{1}, &Pairs{}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an invalid-argument error", name, err)
		}
	}
}

func TestNewRefusesUnknownMiners(t *testing.T) {
	for _, name := range []string{"", "Nearest", "hardest"} {
		if m, err := New(name, 1); m != nil || errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: got %v, %v, want an invalid-argument error", name, m, err)
		}
	}
}

func TestADrawOfZeroTakesNoNegativeWithoutWeight(t *testing.T) {
	d, labels := onSphere(t, 8, 1.5, 1.2) // the first negative is too far
	m := NewDistanceWeighted(1)
	m.Draws = 18462553 // the first draw of this seed that is 0, as one in 2^24 is
	if u := rng.Counter(m.key, m.Draws); u != 0 {
		t.Fatalf("got draw %v, want 0: this test needs another", u)
	}
	var p Pairs
	if err := m.Mine(d, labels, &p); err != nil || p.Negatives[0].Other != 3 {
		t.Fatalf("got %v, %v, want the second negative", p.Negatives, err)
	}
}
