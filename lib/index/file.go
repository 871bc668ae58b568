package index

import (
	"fmt"
	"math"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/learner"
	"libdsl/lib/modelfile"
)

// The tensors of an index file. Texts end in a zero byte each.
const (
	dimTensor        = "embedding_dim" // int32 [1]
	embeddingsTensor = "embeddings"    // float32 [N, D]; [0] without rows
	labelsTensor     = "labels"        // int64 [N]
	groupsTensor     = "groups"        // texts of N rows
	textsTensor      = "ids"           // texts of N rows, or
	numbersTensor    = "int_ids"       // int64 [N]
)

// Write saves the index so that a crash leaves the old file or the new one. The file holds rows, ids, labels and groups as they were given.
// Errors: errs.NotFound for the folder, errs.IO, errs.Unsupported above 2 GiB.
func (x *Index) Write(path string) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n, d := int32(len(x.labels)), int32(x.opt.Dim)
	shape := []int32{n, d}
	if n == 0 {
		shape = []int32{0}
	}
	g := &modelfile.Gallery{Model: x.opt.Model, Tensors: []modelfile.Tensor{
		{Name: dimTensor, Shape: []int32{1}, Data: []int32{d}},
		{Name: embeddingsTensor, Shape: shape, Data: x.rows},
		{Name: labelsTensor, Shape: []int32{n}, Data: x.labels},
		texts(groupsTensor, x.groups),
	}}
	if x.ids.Texts != nil {
		g.Tensors = append(g.Tensors, texts(textsTensor, x.ids.Texts))
	} else {
		g.Tensors = append(g.Tensors, modelfile.Tensor{Name: numbersTensor, Shape: []int32{n}, Data: x.ids.Numbers})
	}
	for k := range x.NumLearners() {
		own := make([]int32, 0, len(x.opt.Learners.Subspace(k)))
		for _, i := range x.opt.Learners.Subspace(k) {
			own = append(own, int32(i))
		}
		g.Learners = append(g.Learners, own)
	}
	return modelfile.WriteGallery(path, g)
}

func texts(name string, values []string) modelfile.Tensor {
	size := 0
	for _, s := range values {
		size += len(s) + 1
	}
	data := make([]uint8, 0, size)
	for _, s := range values {
		data = append(append(data, s...), 0)
	}
	return modelfile.Tensor{Name: name, Shape: []int32{int32(size)}, Data: data}
}

// Read loads an index and checks all that a search relies on. Errors: errs.NotFound, errs.IO, errs.Corrupt, errs.Unsupported for a newer format,
// errs.Invalid for a model file.
func Read(path string) (*Index, error) {
	g, err := modelfile.ReadGallery(path, modelfile.Limits{})
	if err != nil {
		return nil, err
	}
	x, err := fromGallery(g)
	if err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "%s", g.Source())
	}
	return x, nil
}

// fromGallery checks and takes over what a file holds.
func fromGallery(g *modelfile.Gallery) (*Index, error) {
	dim, err := modelfile.Values[int32](g.Tensors, dimTensor)
	if err != nil {
		return nil, err
	}
	if len(dim) != 1 {
		return nil, fmt.Errorf("%s: got %d numbers, want one", dimTensor, len(dim))
	}
	opt := Options{Dim: int(dim[0]), Model: g.Model}
	if len(g.Learners) > 0 {
		if opt.Learners, err = learnersOf(opt.Dim, g.Learners); err != nil {
			return nil, err
		}
	}
	x, err := New(opt)
	if err != nil {
		return nil, err
	}
	if err := x.takeRows(g.Tensors); err != nil {
		return nil, err
	}
	if err := x.takeNames(g.Tensors); err != nil {
		return nil, err
	}
	const tensors = 5
	if len(g.Tensors) != tensors {
		return nil, fmt.Errorf("got %d tensors, want %d", len(g.Tensors), tensors)
	}
	return x, nil
}

func learnersOf(dim int, neurons [][]int32) (*learner.Set, error) {
	subspaces := make([][]int, len(neurons))
	for k, own := range neurons {
		for _, i := range own {
			subspaces[k] = append(subspaces[k], int(i))
		}
	}
	return learner.FromSubspaces(dim, subspaces)
}

// takeRows checks shapes, lengths of rows and labels.
func (x *Index) takeRows(tensors []modelfile.Tensor) (err error) {
	if x.rows, err = modelfile.Values[float32](tensors, embeddingsTensor); err != nil {
		return err
	}
	if x.labels, err = modelfile.Values[int64](tensors, labelsTensor); err != nil {
		return err
	}
	if len(x.rows) != len(x.labels)*x.opt.Dim {
		return fmt.Errorf("got %d numbers in embeddings, want %d for [%d, %d]", len(x.rows), len(x.labels)*x.opt.Dim, len(x.labels), x.opt.Dim)
	}
	for i, l := range x.labels {
		if l < NoLabel {
			return fmt.Errorf("row %d: got label %d", i, l)
		}
		var sum float64
		for _, v := range x.rows[i*x.opt.Dim : (i+1)*x.opt.Dim] {
			sum += float64(v) * float64(v)
		}
		if !(math.Abs(sum-1) <= 1e-5) { // float32 rounds 1e-7 of it away
			return fmt.Errorf("row %d: got length %v, want 1", i, math.Sqrt(sum))
		}
	}
	return nil
}

func (x *Index) takeNames(tensors []modelfile.Tensor) (err error) {
	if x.groups, err = textsOf(tensors, groupsTensor, len(x.labels)); err != nil {
		return err
	}
	if x.ids.Numbers, err = modelfile.Values[int64](tensors, numbersTensor); err != nil {
		x.ids.Texts, err = textsOf(tensors, textsTensor, len(x.labels))
		return err
	}
	if len(x.ids.Numbers) != len(x.labels) {
		return fmt.Errorf("got %d ids for %d rows", len(x.ids.Numbers), len(x.labels))
	}
	return nil
}

// textsOf cuts a tensor of n texts apart; they share its memory.
func textsOf(tensors []modelfile.Tensor, name string, n int) ([]string, error) {
	data, err := modelfile.Values[uint8](tensors, name)
	if err != nil {
		return nil, err
	}
	all := string(data)
	if got := strings.Count(all, "\x00"); got != n || len(all) > 0 && all[len(all)-1] != 0 {
		return nil, fmt.Errorf("%s: got %d texts, want %d, each ended by a zero byte", name, got, n)
	}
	out := make([]string, n)
	for i := range out {
		out[i], all, _ = strings.Cut(all, "\x00")
	}
	return out, checkTexts(name, out)
}
