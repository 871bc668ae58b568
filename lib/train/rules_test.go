package train

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/cluster"
	"libdsl/lib/rng"
)

func TestTheClustersAreThoseOfTheChosenSpace(t *testing.T) {
	ctx := context.Background()
	d := stripes(t, 3, 30, 12)
	var found [][]int
	for space, dim := range map[string]int{EmbeddingSpace: 24, PenultimateSpace: 256} {
		o := tiny(100)
		o.Learners, o.ClusterSpace = 2, space
		tr := open(t, d, o)
		x, got, err := tr.embedTraining(ctx)
		if err != nil || got != dim || len(x) != 30*dim {
			t.Fatalf("%s: got %d numbers in rows of %d, %v; want 30 rows of %d", space, len(x), got, err, dim)
		}
		for i := range 30 {
			length := 0.0
			for _, v := range x[i*dim : (i+1)*dim] {
				length += float64(v) * float64(v)
			}
			if math.Abs(length-1) > 1e-5 {
				t.Fatalf("%s: row %d has squared length %v", space, i, length)
			}
		}
		want, err := cluster.KMeans(ctx, x, dim, cluster.Options{K: 2, Threads: 1}, rng.New(o.Seed, "cluster/0"))
		if err != nil {
			t.Fatal(err)
		}
		if tr.current, err = tr.wholeCluster(); err != nil {
			t.Fatal(err)
		}
		if err := tr.recluster(ctx); err != nil {
			t.Fatal(err)
		}
		if !samePartition(tr.current.assigned, want.Assignment) {
			t.Errorf("%s: clusters %v, want those of its own vectors, %v", space, tr.current.assigned, want.Assignment)
		}
		found = append(found, tr.current.assigned)
	}
	if samePartition(found[0], found[1]) {
		t.Error("both spaces give the same clusters: the test cannot tell them apart")
	}
}

// samePartition reports whether a and b group alike, whatever the numbers of two groups.
func samePartition(a, b []int) bool {
	for i := range a {
		if (a[i] == a[0]) != (b[i] == b[0]) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestARefusedGrowthIsTriedAgainAfterTheNextValidation(t *testing.T) {
	o := tiny(100)
	o.Patience, o.WarmupShare = 1, new(0.0)
	tr := open(t, stripes(t, 3, 30, 12), o)
	tr.current = clusters{whole: true}
	var notes []string
	tr.tell = newTeller(func(p *Progress) bool {
		if p.Event == EventNote {
			notes = append(notes, p.Message)
		}
		return true
	})
	stepOn(t, tr, 0, Learn)
	tr.growth.observe(0.3)
	tr.growth.observe(0.2)
	own := tr.growth.scores.Sum
	for _, c := range []struct {
		name    string
		matters func(i int) bool // neurons with a high score
		want    int
	}{
		{"equal scores", func(int) bool { return true }, 1},
		{"a part below five neurons", func(i int) bool { return i < 4 }, 1},
		{"five neurons that matter", func(i int) bool { return i < 5 }, 2},
	} {
		notes = nil
		for i := range own {
			own[i] = 0
			if c.matters(i) {
				own[i] = 1
			}
		}
		if err := tr.maybeGrow(context.Background(), Learn); err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(notes, func(s string) bool { return strings.Contains(s, "no growth") })
		if k := tr.set.NumLearners(); k != c.want || told != (c.want == 1) {
			t.Errorf("%s: %d learners, want %d; told %q", c.name, k, c.want, notes)
		}
		tr.growth.observe(0.1)
	}
}

func TestAClusterOfOneClassIsSkippedAndReported(t *testing.T) {
	o := tiny(100)
	o.Learners = 2
	tr := open(t, stripes(t, 3, 30, 12), o)
	said := ""
	tr.tell = newTeller(func(p *Progress) bool { said = p.Message; return true })
	c := clusters{members: make([][]int, 2), usable: []int{0}}
	tr.tell.clustered(tr, &c, 0, 0)
	if !strings.Contains(said, "1 clusters have one class only and are skipped") {
		t.Errorf("told %q", said)
	}
	samplers, err := tr.samplersOf([][]int{tr.data.train, {tr.data.train[0], tr.data.train[3]}}) // labels are 0 1 2 0 …
	if err != nil || samplers[0] == nil || samplers[1] != nil {
		t.Errorf("got samplers %v, %v; want none for the second", samplers, err)
	}
}
