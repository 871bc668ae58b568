package train

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// TestAClassificationNetworkIsTheStartOfATrainingOnOtherClasses goes through files, as users do. A learning rate of 1e-30 changes no float32 weight.
func TestAClassificationNetworkIsTheStartOfATrainingOnOtherClasses(t *testing.T) {
	three, five := stripes(t, 3, 24, 12), stripes(t, 5, 40, 20)
	path := filepath.Join(t.TempDir(), "pretrained.dsl")
	o := tiny(4)
	o.Loss, o.Arch.EmbeddingDim = Classification, 0
	files := Files{Path: path, Data: three}
	if _, err := Run(context.Background(), onednn.Backend{}, three, o, nil, files.Save); err != nil {
		t.Fatal(err)
	}
	init, err := modelfile.ReadPretrained(path, modelfile.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	o = tiny(3)
	o.Init, o.LearningRate, o.Arch.Stem = init, 1e-30, "" // the stem is the pretrained network's
	var stages []Stage
	res, err := Run(context.Background(), onednn.Backend{}, five, o, func(p *Progress) bool {
		if p.Event == EventStep && !slices.Contains(stages, p.Stage) {
			stages = append(stages, p.Stage)
		}
		return true
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := res.Last
	if want := (model.Arch{Backbone: "resnet18", Stem: "small", Attention: model.Gate, EmbeddingDim: 24}); m.Arch != want || m.Head != model.EmbeddingHead || len(m.ClassNames) != 5 {
		t.Errorf("got %v, head %q, %d classes", m.Arch, m.Head, len(m.ClassNames))
	}
	if slices.Contains(stages, Warmup) {
		t.Errorf("stages %v: a warm-up would spoil trained weights", stages)
	}
	if len(init.Weights) != len(m.Weights)-2 {
		t.Errorf("started from %d tensors of %d", len(init.Weights), len(m.Weights))
	}
	for name, v := range init.Weights {
		if !slices.Equal(m.Weights[name], v) {
			t.Errorf("%s is not as it was trained", name)
		}
	}
}
