package train

import (
	"os"
	"path/filepath"
	"testing"

	"libdsl/lib/modelfile"
)

// BenchmarkCheckpoint makes the checkpoint of a ResNet-18 with a best model, and writes it.
func BenchmarkCheckpoint(b *testing.B) {
	t := &testing.T{}
	d := stripes(t, 3, 30, 12)
	tr := open(t, d, tiny(100))
	tr.identify()
	stepOn(t, tr, 0, Learn)
	tr.current = clusters{whole: true, members: [][]int{tr.data.train}}
	best, err := tr.snapshot()
	if err != nil {
		b.Fatal(err)
	}
	tr.best.model = best
	path := filepath.Join(b.TempDir(), "m.dsl")
	files := Files{Path: path, Data: d}
	b.Run("in memory", func(b *testing.B) {
		for b.Loop() {
			if _, err := tr.capture(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("to disk", func(b *testing.B) {
		for b.Loop() {
			c, err := tr.capture()
			if err == nil {
				err = files.SaveCheckpoint(c)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if st, err := os.Stat(CheckpointPath(path)); err == nil {
			b.ReportMetric(float64(st.Size())/1e6, "MB")
		}
	})
	b.Run("a model to disk", func(b *testing.B) {
		for b.Loop() {
			f, err := modelfile.FromModel(best, modelfile.Card{})
			if err == nil {
				err = modelfile.Write(path, f)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
