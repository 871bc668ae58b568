package learner

import (
	"slices"
	"testing"

	"libdsl/lib/errs"
)

func TestNewGivesPartsThatDifferByAtMostOne(t *testing.T) {
	for _, c := range []struct{ dim, k int }{{1, 1}, {128, 1}, {128, 6}, {7, 7}, {10, 3}} {
		s, err := New(c.dim, c.k)
		if err != nil {
			t.Fatal(err)
		}
		low, high := c.dim, 0
		for k := range s.NumLearners() {
			n := len(s.Subspace(k))
			low, high = min(low, n), max(high, n)
		}
		if err := Validate(c.dim, s.Subspaces()); err != nil || s.NumLearners() != c.k || high-low > 1 {
			t.Errorf("%d neurons, %d learners: got %v, %v", c.dim, c.k, s.Subspaces(), err)
		}
	}
	for _, c := range []struct{ dim, k int }{{4, 0}, {4, 5}, {0, 0}, {4, -1}} {
		if _, err := New(c.dim, c.k); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%d neurons, %d learners: got %v, want an invalid-argument error", c.dim, c.k, err)
		}
	}
}

func TestFromSubspaces(t *testing.T) {
	for _, c := range []struct {
		name      string
		dim       int
		subspaces [][]int
		ok        bool
	}{
		{"a partition in any order of learners", 4, [][]int{{1, 3}, {0, 2}}, true},
		{"one learner", 2, [][]int{{0, 1}}, true},
		{"no learner", 2, nil, false},
		{"no neuron", 0, nil, false},
		{"a learner without neurons", 2, [][]int{{0, 1}, {}}, false},
		{"a neuron of two learners", 3, [][]int{{0, 1}, {1, 2}}, false},
		{"a neuron twice in one learner", 2, [][]int{{0, 0, 1}}, false},
		{"a neuron without a learner", 3, [][]int{{0}, {2}}, false},
		{"a neuron beyond the last", 2, [][]int{{0, 2}}, false},
		{"a negative neuron", 2, [][]int{{-1, 0, 1}}, false},
		{"an unsorted subspace", 3, [][]int{{1, 0}, {2}}, false},
	} {
		s, err := FromSubspaces(c.dim, c.subspaces)
		if c.ok != (err == nil) || !c.ok && errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", c.name, err)
		}
		if c.ok && !slices.EqualFunc(s.Subspaces(), c.subspaces, slices.Equal) {
			t.Errorf("%s: got %v, want %v", c.name, s.Subspaces(), c.subspaces)
		}
	}
}

func TestCopiesAreIndependent(t *testing.T) {
	s, _ := New(4, 2)
	c := s.Clone()
	s.Subspaces()[0][0] = 99
	c.Subspace(0)[0] = 77
	if s.Subspace(0)[0] != 0 {
		t.Fatalf("got %v, want the original untouched", s.Subspaces())
	}
}
