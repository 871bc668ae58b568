package train

import (
	"context"
	"maps"
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
)

// A training with a growth on the CUDA backend: on the emulated driver, or on a GPU where the tests are told to use one.
func TestATrainingGrowsOnCUDA(t *testing.T) {
	emulated.Start(t)
	for _, p := range []backend.Precision{backend.F32, backend.BF16} {
		early := p == backend.BF16
		if early { // copies run as soon as they may
			t.Setenv("DSL_EMULATED_ORDER", "1")
		}
		be, err := cuda.Open(backend.Device{Precision: p})
		if err != nil {
			t.Fatal(err)
		}
		before := emulated.Live()
		o := tiny(12)
		if emulated.Real() {
			o = tiny(60) // its rounding is another one, so that the growth may come later
		}
		o.Arch.EmbeddingDim = 128 // of so many neurons both parts of a split have enough
		o.Patience, o.LearningRate = 1, 1e-2
		steps := int64(0)
		emulated.Overtaken()
		res, err := Run(context.Background(), be, stripes(t, 3, 12, 12), o, func(p *Progress) bool {
			if p.Event == EventStep && p.Stage != Prepare {
				steps++
				if math.IsNaN(p.Loss) || p.Loss < 0 {
					t.Errorf("step %d: loss %v", p.Step, p.Loss)
				}
			}
			return true
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if steps != o.Steps || res.Growths < 1 || res.Last.Check() != nil {
			t.Errorf("%s: %d steps, %d growths, want %d and at least 1; the model: %v", be.Device(), steps, res.Growths, o.Steps, res.Last.Check())
		}
		if early && !emulated.Real() && emulated.Overtaken() < 1 { // few: most epochs have one step here, and validation waits for it
			t.Errorf("%s: no pixels were copied beside the backward pass of the step before", be.Device())
		}
		if after := emulated.Live(); !maps.Equal(after, before) {
			t.Errorf("%s: handles before and after the training: %v and %v", be.Device(), before, after)
		}
	}
}
