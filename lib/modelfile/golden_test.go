package modelfile

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/rng"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden file of the newest format version, if there is none")

const goldenPath = "../../tests/golden/models/v1.dsl"

// goldenV1 is what v1.dsl holds: smallCheckpoint and 8000 weights, enough for compressed blocks.
func goldenV1() *File {
	f := smallCheckpoint()
	s := rng.New(1, "golden")
	weights := make([]float32, 8000)
	for i := range weights {
		weights[i] = s.Float32() - 0.5
	}
	f.Tensors = append(f.Tensors, Tensor{"layer1.0.conv1.weight", []int32{20, 400}, weights})
	return f
}

// TestVersion1StaysReadable reads a file that was written once and is never written again: each later libdsl must read
// it, and each later format version adds a file of its own.
func TestVersion1StaysReadable(t *testing.T) {
	if *writeGolden {
		if _, err := os.Stat(goldenPath); err == nil {
			t.Fatalf("%s exists and is never rewritten", filepath.Base(goldenPath))
		}
		if err := Write(goldenPath, goldenV1()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(goldenPath, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, got, goldenV1())
}
