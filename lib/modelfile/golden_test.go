package modelfile

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/rng"
)

var writeGolden = flag.Bool("write-golden", false, "write the golden file of the newest format version, if there is none")

const (
	goldenPath   = "../../tests/golden/models/v1.dsl"
	goldenPathV2 = "../../tests/golden/models/v2.dsl"
)

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
func TestVersion1StaysReadable(t *testing.T) { staysReadable(t, goldenPath, goldenV1()) }

// TestVersion2StaysReadable is the same for calibrated models.
func TestVersion2StaysReadable(t *testing.T) { staysReadable(t, goldenPathV2, calibrated()) }

func staysReadable(t *testing.T, path string, want *File) {
	if *writeGolden {
		if _, err := os.Stat(path); err == nil {
			t.Fatalf("%s exists and is never rewritten", filepath.Base(path))
		}
		if err := Write(path, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Read(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, got, want)
}
