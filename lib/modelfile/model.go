package modelfile

import (
	"maps"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/model"
)

// resizeNum/resizeDen is the evaluation transform's shorter side over the crop's: 256/224.
const (
	resizeNum = 8
	resizeDen = 7
)

// FromModel is the file of a network.
func FromModel(m *model.Model, card Card) (*File, error) {
	tensors, err := model.Tensors(m.Arch, false)
	if err != nil {
		return nil, err
	}
	f := &File{
		Arch: Arch{Backbone: m.Arch.Backbone, Stem: m.Arch.Stem, Attention: m.Arch.Attention, BatchNorm: "frozen",
			Head: m.Head, EmbeddingDim: m.Arch.EmbeddingDim},
		Preprocess: Preprocess{InputSize: m.InputSize, ResizeNum: resizeNum, ResizeDen: resizeDen, Mean: model.Mean, Std: model.Std},
		ClassNames: m.ClassNames,
		Card:       card,
	}
	for _, own := range m.Learners.Subspaces() {
		ids := make([]int32, len(own))
		for i, n := range own {
			ids[i] = int32(n)
		}
		f.Learners = append(f.Learners, ids)
	}
	for _, t := range tensors {
		shape := make([]int32, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int32(d)
		}
		f.Tensors = append(f.Tensors, Tensor{Name: t.Name, Shape: shape, Data: m.Weights[t.Name]})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Ranges)) {
		f.Ranges = append(f.Ranges, NamedFloat{name, float64(m.Ranges[name])})
	}
	return f, nil
}

// Model is the network that the file holds, with every tensor's name and shape checked against the architecture. It shares the
// file's memory. Errors: Corrupt naming the tensor or what is out of range; Unsupported for preprocessing that this version does not know.
func (f *File) Model() (*model.Model, error) {
	p := f.Preprocess
	if p.ResizeNum != resizeNum || p.ResizeDen != resizeDen || p.Mean != model.Mean || p.Std != model.Std {
		return nil, errs.New(errs.Unsupported, "modelfile: %q: its preprocessing is not known to this version", f.source)
	}
	a := model.Arch{Backbone: f.Arch.Backbone, Stem: f.Arch.Stem, Attention: f.Arch.Attention, EmbeddingDim: f.Arch.EmbeddingDim}
	tensors, err := model.Tensors(a, false)
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "modelfile: %q", f.source)
	}
	specs := make([]TensorSpec, len(tensors))
	for i, t := range tensors {
		specs[i].Name = t.Name
		for _, d := range t.Shape {
			specs[i].Shape = append(specs[i].Shape, int32(d))
		}
	}
	if err := f.Expect(specs); err != nil {
		return nil, err
	}
	m := &model.Model{Arch: a, Head: f.Arch.Head, InputSize: p.InputSize, ClassNames: f.ClassNames, Weights: model.Weights{}}
	for _, t := range f.Tensors {
		m.Weights[t.Name] = t.Data.([]float32)
	}
	if len(f.Ranges) > 0 {
		m.Ranges = model.Ranges{}
	}
	for _, r := range f.Ranges {
		m.Ranges[r.Name] = float32(r.Value)
	}
	subspaces := make([][]int, len(f.Learners))
	for k, own := range f.Learners {
		for _, n := range own {
			subspaces[k] = append(subspaces[k], int(n))
		}
	}
	if m.Learners, err = learner.FromSubspaces(a.EmbeddingDim, subspaces); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "modelfile: %q", f.source)
	}
	if err := m.Check(); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "modelfile: %q", f.source)
	}
	return m, nil
}
