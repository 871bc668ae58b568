package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/imageio/imagetest"
	"libdsl/lib/rng"
)

// golden is tests/golden/kmeans.json, written by kmeans.py beside it.
type golden struct {
	Images, Restarts, Seeds int
	Inertia                 []struct {
		K                 int
		Mean, Least, Most float64
	}
}

// pictures are the test pictures of HAM10000, averaged from 28×28 to 7×7: [N, 147] in [0, 1], as kmeans.py makes them.
func pictures(t *testing.T) (x []float32, dim int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(imagetest.Folder(t, "ham10000_28"), "test_images.npy"))
	if err != nil {
		t.Fatal(err)
	}
	const side, small = 28, 7
	pixels := data[10+int(binary.LittleEndian.Uint16(data[8:])):] // NumPy's format 1.0: the header's length is at byte 8
	dim = small * small * 3
	x = make([]float32, len(pixels)/(side*side*3)*dim)
	for i, v := range pixels {
		c, column, row, image := i%3, i/3%side, i/3/side%side, i/3/side/side
		x[image*dim+(row*small/side*small+column*small/side)*3+c] += float32(v) / (16 * 255)
	}
	return x, dim
}

func TestKMeansIsAsGoodAsScikitLearnOnPictures(t *testing.T) {
	x, dim := pictures(t)
	text, err := os.ReadFile("../../tests/golden/kmeans.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if g.Images != len(x)/dim || len(g.Inertia) == 0 {
		t.Fatalf("got %d pictures, want the %d of kmeans.json", len(x)/dim, g.Images)
	}
	for _, want := range g.Inertia {
		var mean float64
		for s := range g.Seeds {
			r, err := KMeans(context.Background(), x, dim, Options{K: want.K, Restarts: g.Restarts}, rng.New(uint64(s), "golden"))
			if err != nil {
				t.Fatal(err)
			}
			mean += r.Inertia / float64(g.Seeds)
		}
		t.Logf("K = %d: inertia %.3f, scikit-learn %.3f (%.3f to %.3f)", want.K, mean, want.Mean, want.Least, want.Most)
		// half a percent: what seeds differ by
		if mean > want.Mean*1.005 {
			t.Errorf("K = %d: got a mean inertia of %v, want %v or little more", want.K, mean, want.Mean)
		}
	}
}
