package dataset

import (
	"errors"
	"slices"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// pool has counts[c] samples of label 10·c; sample indices start at 100.
func pool(counts ...int) (indices []int, labels []int64) {
	for c, n := range counts {
		for range n {
			indices, labels = append(indices, 100+len(indices)), append(labels, int64(10*c))
		}
	}
	return indices, labels
}

func sampler(t *testing.T, classes, perClass int, counts ...int) (*Sampler, func(int) int64) {
	t.Helper()
	indices, labels := pool(counts...)
	s, err := NewSampler(indices, labels, classes, perClass, rng.New(1, "sampler"))
	if err != nil {
		t.Fatal(err)
	}
	return s, func(index int) int64 { return labels[index-100] }
}

func draw(t *testing.T, s *Sampler) []int {
	t.Helper()
	dst := make([]int, s.BatchSize())
	if err := s.Next(dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestBatchesAreBalanced(t *testing.T) {
	for _, c := range []struct {
		name    string
		classes int
		counts  []int
		most    int // images of a class in a batch
		least   int
		inBatch int // classes
	}{
		{"more classes than a batch takes", 4, []int{50, 9, 8, 30, 20, 2}, 8, 8, 4},
		{"as many classes", 4, []int{50, 9, 8, 30}, 8, 8, 4},
		{"fewer classes share the places", 4, []int{50, 40, 30}, 11, 10, 3},
		{"two classes, one small", 4, []int{50, 2}, 16, 16, 2},
	} {
		s, label := sampler(t, c.classes, 8, c.counts...)
		for range 50 {
			per := map[int64]int{}
			seen := map[int]int{}
			for _, i := range draw(t, s) {
				per[label(i)]++
				seen[i]++
			}
			if len(per) != c.inBatch {
				t.Fatalf("%s: got %v", c.name, per)
			}
			for l, n := range per {
				if n < c.least || n > c.most {
					t.Fatalf("%s: got %d images of class %d", c.name, n, l)
				}
			}
			for i, n := range seen {
				if n > 1 && c.counts[label(i)/10] >= per[label(i)] {
					t.Fatalf("%s: image %d comes %d times although its class has enough", c.name, i, n)
				}
			}
		}
	}
}

func TestAllClassesAndImagesAreVisitedEvenly(t *testing.T) {
	counts := []int{50, 9, 8, 31, 20}
	s, label := sampler(t, 4, 8, counts...)
	classes, images := map[int64]int{}, map[int]int{}
	const batches = 500
	for range batches {
		for at, i := range draw(t, s) {
			if at%8 == 0 {
				classes[label(i)]++
			}
			images[i]++
		}
	}
	for l, n := range classes { // rounds: counts differ by at most the unfinished round
		if want := batches * 4 / 5; n < want-1 || n > want+1 {
			t.Errorf("class %d is in %d batches, want %d", l, n, want)
		}
	}
	indices, labels := pool(counts...)
	for at, i := range indices {
		n := counts[labels[at]/10]
		if want := classes[labels[at]] * 8 / n; images[i] < want-1 || images[i] > want+2 {
			t.Errorf("image %d of a class of %d came %d times, want about %d", i, n, images[i], want)
		}
	}
}

func TestSmallClassesAreDrawnWithReplacement(t *testing.T) {
	s, label := sampler(t, 2, 8, 3, 40)
	kinds := map[int]int{} // how many different images of the small class a batch has
	for range 200 {
		different := map[int]bool{}
		for _, i := range draw(t, s) {
			if label(i) == 0 {
				different[i] = true
			}
		}
		kinds[len(different)]++
	}
	// all three appear in 8 draws with probability 1 − 3·(2/3)^8 + 3·(1/3)^8 = 0.88; dealing in turn would always give three
	if kinds[3] < 155 || kinds[3] > 195 {
		t.Errorf("got %v batches by number of different images", kinds)
	}
}

func TestAnImageAloneInItsClassSitsOut(t *testing.T) {
	s, label := sampler(t, 3, 4, 10, 1, 10, 1)
	for range 50 {
		for _, i := range draw(t, s) {
			if label(i) == 10 || label(i) == 30 {
				t.Fatalf("image %d has no partner and was drawn", i)
			}
		}
	}
	if s.Alone() != 2 {
		t.Errorf("got %d alone, want 2", s.Alone())
	}
}

func TestNewSamplerRefuses(t *testing.T) {
	indices, labels := pool(10, 10)
	for _, c := range []struct {
		name              string
		indices           []int
		labels            []int64
		classes, perClass int
		oneClass          bool
	}{
		{"no samples", nil, nil, 4, 8, true},
		{"one class", indices[:10], labels[:10], 4, 8, true},
		{"a second class of one image", indices[:11], labels[:11], 4, 8, true},
		{"one class a batch", indices, labels, 1, 8, false},
		{"one image a class", indices, labels, 4, 1, false},
		{"labels too few", indices, labels[1:], 4, 8, false},
	} {
		_, err := NewSampler(c.indices, c.labels, c.classes, c.perClass, rng.New(1, "x"))
		if errs.KindOf(err) != errs.Invalid || errors.Is(err, ErrOneClass) != c.oneClass {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	s, _ := sampler(t, 2, 2, 5, 5)
	if err := s.Next(make([]int, 3)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a short batch: got %v", err)
	}
}

func TestARestoredSamplerGoesOnWhereItWas(t *testing.T) {
	a, _ := sampler(t, 4, 8, 50, 9, 3, 31, 20)
	for range 7 {
		draw(t, a)
	}
	state, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	indices, labels := pool(50, 9, 3, 31, 20)
	b, err := NewSampler(indices, labels, 4, 8, rng.New(99, "another"))
	if err != nil {
		t.Fatal(err)
	}
	draw(t, b)
	if err := b.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if x, y := draw(t, a), draw(t, b); !slices.Equal(x, y) {
			t.Fatalf("batch %d: got %v, want %v", i, y, x)
		}
	}
}

func TestASamplerRefusesForeignStatesAndStaysAsItWas(t *testing.T) {
	a, _ := sampler(t, 2, 2, 5, 5)
	state, _ := a.MarshalBinary()
	other, _ := sampler(t, 2, 2, 5, 6)
	foreign, _ := other.MarshalBinary()
	late := slices.Clone(state)
	late[len(late)-4*6] = 200 // the position of the last class
	for name, s := range map[string][]byte{"an empty state": nil, "a cut state": state[:len(state)-1], "a cut stream": state[:9],
		"a longer state": append(slices.Clone(state), 0), "a state of other samples": foreign, "a position out of range": late,
		"a stream length out of range": {255, 255, 255, 255, 0}} {
		if err := a.UnmarshalBinary(s); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("%s: got %v, want a Corrupt error", name, err)
		}
	}
	if after, _ := a.MarshalBinary(); !slices.Equal(state, after) {
		t.Error("a refused state changed the sampler")
	}
}

func TestDrawingDoesNotAllocate(t *testing.T) {
	s, _ := sampler(t, 4, 8, 50, 9, 3, 31, 20)
	dst := make([]int, s.BatchSize())
	if n := testing.AllocsPerRun(100, func() { _ = s.Next(dst) }); n != 0 {
		t.Errorf("got %v allocations a batch, want 0", n)
	}
}
