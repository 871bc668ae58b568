package index

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"libdsl/lib/learner"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden gallery of the newest format version, if there is none")

const goldenPath = "../../tests/golden/models/gallery-v1.dsl"

// goldenV1 is what gallery-v1.dsl holds.
func goldenV1(t *testing.T) *Index {
	t.Helper()
	set, err := learner.FromSubspaces(3, [][]int{{0, 2}, {1}})
	must(t, err)
	x, err := New(Options{Dim: 3, Learners: set, Model: "00ff"})
	must(t, err)
	must(t, x.Add(Items{Embeddings: []float32{1, 0, 0, 0.6, 0, 0.8, 0, -1, 0}, IDs: IDs{Texts: []string{"a", "kératose", ""}},
		Labels: []int64{0, NoLabel, 7}, Groups: []string{"p", "", "p"}}))
	return x
}

// TestVersion1GalleriesStayReadable reads a file that was written once and is never written again.
func TestVersion1GalleriesStayReadable(t *testing.T) {
	want := goldenV1(t)
	if *writeGolden {
		if _, err := os.Stat(goldenPath); err == nil {
			t.Fatalf("%s exists and is never rewritten", filepath.Base(goldenPath))
		}
		must(t, want.Write(goldenPath))
	}
	got, err := Read(goldenPath)
	must(t, err)
	for i := range want.Len() {
		a, _ := want.Item(i)
		if b, err := got.Item(i); err != nil || a != b {
			t.Errorf("row %d: got %+v, %v, want %+v", i, b, err, a)
		}
	}
	if !slices.Equal(got.rows, want.rows) || got.Model() != "00ff" {
		t.Errorf("got rows %v of model %q, want %v of 00ff", got.rows, got.Model(), want.rows)
	}
	found, err := got.Search(context.Background(), []float32{0.6, -1, 0.8}, Search{K: 1, Learner: 0})
	must(t, err)
	if found.Rows[0] != 1 {
		t.Errorf("got row %d for learner 0, want 1", found.Rows[0])
	}
}
