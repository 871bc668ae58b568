package train

import (
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// ReadCheckpoint reads a checkpoint and checks all that can be checked without the run's options and data.
// Errors: NotFound, IO; Corrupt naming what is wrong; Invalid for a model without training state; Unsupported for a newer format.
func ReadCheckpoint(path string) (*Checkpoint, error) {
	f, err := modelfile.Read(path, modelfile.Limits{})
	if err != nil {
		return nil, err
	}
	c, err := CheckpointOf(f)
	if err != nil {
		return nil, errs.Wrap(errs.KindOf(err), err, "train: checkpoint %q", filepath.Base(path))
	}
	return c, nil
}

// CheckpointOf is the checkpoint that a file holds, with everything that it must have and nothing else. Errors: as ReadCheckpoint.
func CheckpointOf(f *modelfile.File) (*Checkpoint, error) {
	if f.Checkpoint == nil {
		return nil, errs.New(errs.Invalid, "train: got a model, want a checkpoint, which has a training's state")
	}
	c := &Checkpoint{frozen: f.Arch.BatchNorm == "frozen", data: f.Card.DataHash, version: f.Card.LibraryVersion}
	err := c.readNumbers(f.Checkpoint)
	if err != nil {
		return nil, err
	}
	if c.network, err = f.Model(); err != nil {
		return nil, err
	}
	s := f.Checkpoint
	for _, read := range []func(*modelfile.Checkpoint) error{c.readTensors, c.readBlobs} {
		if err := read(s); err != nil {
			return nil, err
		}
	}
	c.LogBytes = c.n.logBytes
	return c, nil
}

// corrupt is the error of a checkpoint that says something impossible.
func corrupt(format string, args ...any) error {
	return errs.New(errs.Corrupt, "train: checkpoint: "+format, args...)
}

func (c *Checkpoint) readNumbers(s *modelfile.Checkpoint) error {
	counts, measures := c.n.counts(), c.n.measures()
	for _, v := range counts {
		got, err := s.Int(v.name)
		if err != nil {
			return err
		}
		if got < v.low || got > v.high {
			return corrupt("%q: got %d, want %d to %d", v.name, got, v.low, v.high)
		}
		*v.at = got
	}
	for _, v := range measures {
		got, err := s.Float(v.name)
		if err != nil {
			return err
		}
		if !v.kind.allows(got) {
			return corrupt("%q: got %v, which it cannot be", v.name, got)
		}
		*v.at = got
	}
	if len(s.Ints) != len(counts) || len(s.Floats) != len(measures) { // names are unique
		return corrupt("got %d counts and %d measures, want %d and %d", len(s.Ints), len(s.Floats), len(counts), len(measures))
	}
	return nil
}

func (k measureKind) allows(v float64) bool {
	const rounding = 1e-6
	unit := v >= -rounding && v <= 1+rounding
	switch k {
	case score:
		return unit || math.IsNaN(v)
	case highest:
		return unit || math.IsInf(v, -1)
	case duration:
		return v >= 0 && v <= maxCount
	}
	return !math.IsInf(v, 0)
}

func (c *Checkpoint) readTensors(s *modelfile.Checkpoint) error {
	expected, err := c.readAdam(s)
	if err != nil {
		return err
	}
	if c.n.hasBest == 1 {
		more, err := c.readBest(s)
		if err != nil {
			return err
		}
		expected += more
	}
	if c.assigned, err = modelfile.Values[int32](s.Tensors, assignedName); err != nil {
		return err
	}
	for i, k := range c.assigned {
		if k < 0 || int(k) >= c.network.Learners.NumLearners() {
			return corrupt("%s: image %d: got cluster %d, want 0 to %d", assignedName, i, k, c.network.Learners.NumLearners()-1)
		}
	}
	if c.scores, err = modelfile.Values[float64](s.Tensors, scoresName); err != nil {
		return err
	}
	for i, v := range c.scores {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return corrupt("%s: neuron %d: got %v", scoresName, i, v)
		}
	}
	c.readLoss(s)
	if expected += 2 + len(c.loss); len(s.Tensors) != expected {
		return corrupt("got %d tensors, want %d", len(s.Tensors), expected)
	}
	return nil
}

// readLoss takes what the loss has to check itself.
func (c *Checkpoint) readLoss(s *modelfile.Checkpoint) {
	for _, t := range s.Tensors {
		name, ok := strings.CutPrefix(t.Name, lossPrefix)
		switch data := t.Data.(type) {
		case []float64:
			if ok {
				c.loss = append(c.loss, loss.State{Name: name, Floats: data})
			}
		case []int64:
			if ok {
				c.loss = append(c.loss, loss.State{Name: name, Counts: data})
			}
		}
	}
}

// readAdam checks the optimiser's state against the network and returns how many tensors it has.
func (c *Checkpoint) readAdam(s *modelfile.Checkpoint) (int, error) {
	states, err := adamStates(c.network.Arch)
	if err != nil {
		return 0, err
	}
	byName := make(map[string]*modelfile.Tensor, len(s.Tensors))
	for i := range s.Tensors {
		byName[s.Tensors[i].Name] = &s.Tensors[i]
	}
	for _, want := range states {
		t := byName[want.Name]
		if t == nil || !slices.Equal(t.Shape, fileShape(want.Shape)) {
			return 0, corrupt("tensor %q: missing or misshapen, want shape %v", want.Name, want.Shape)
		}
		if !c.possible(t, want) {
			return 0, corrupt("tensor %q: it holds what Adam's state cannot be after %d steps", want.Name, c.n.adam)
		}
		c.adam = append(c.adam, *t)
	}
	return len(states), nil
}

// possible reports whether a state has its type and range: second moments are not negative, and no row has been counted more often than steps.
func (c *Checkpoint) possible(t *modelfile.Tensor, want ir.Tensor) bool {
	switch data := t.Data.(type) {
	case []float32:
		for _, v := range data {
			if v < 0 && strings.HasPrefix(t.Name, model.VarianceName("")) {
				return false
			}
		}
		return want.DType == ir.F32
	case []int32:
		for _, v := range data {
			if v < 0 || int64(v) > c.n.adam {
				return false
			}
		}
		return want.DType == ir.I32
	}
	return false
}

// adamStates are the tensors of a network's store that are no weights.
func adamStates(a model.Arch) ([]ir.Tensor, error) {
	weights, err := model.Tensors(a, false)
	if err != nil {
		return nil, err
	}
	all, err := model.Tensors(a, true)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, t := range weights {
		known[t.Name] = true
	}
	var out []ir.Tensor
	for _, t := range all {
		if !known[t.Name] {
			out = append(out, t)
		}
	}
	return out, nil
}

// readBest makes the best model, which is always of the network that the learners train, and returns how many tensors it has.
func (c *Checkpoint) readBest(s *modelfile.Checkpoint) (int, error) {
	owners, err := modelfile.Values[int32](s.Tensors, bestOwners)
	if err != nil {
		return 0, err
	}
	m := &model.Model{Arch: c.network.Arch, Head: c.network.Head, InputSize: c.network.InputSize, ClassNames: c.network.ClassNames, Weights: model.Weights{}}
	if len(owners) != m.Arch.EmbeddingDim {
		return 0, corrupt("%s: got %d neurons, want %d", bestOwners, len(owners), m.Arch.EmbeddingDim)
	}
	subspaces := make([][]int, c.network.Learners.NumLearners())
	for neuron, k := range owners {
		if k < 0 || int(k) >= len(subspaces) {
			return 0, corrupt("%s: neuron %d: got learner %d, want 0 to %d", bestOwners, neuron, k, len(subspaces)-1)
		}
		subspaces[k] = append(subspaces[k], neuron)
	}
	for len(subspaces) > 1 && len(subspaces[len(subspaces)-1]) == 0 { // learners that came after it
		subspaces = subspaces[:len(subspaces)-1]
	}
	if m.Learners, err = learner.FromSubspaces(len(owners), subspaces); err != nil {
		return 0, errs.Wrap(errs.Corrupt, err, "train: checkpoint: %s", bestOwners)
	}
	tensors, err := model.Tensors(m.Arch, false)
	if err != nil {
		return 0, err
	}
	for _, t := range tensors {
		if m.Weights[t.Name], err = modelfile.Values[float32](s.Tensors, bestPrefix+t.Name); err != nil {
			return 0, err
		}
	}
	if err := m.Check(); err != nil {
		return 0, errs.Wrap(errs.Corrupt, err, "train: checkpoint: best model")
	}
	c.best = m
	return len(tensors) + 1, nil
}

func (c *Checkpoint) readBlobs(s *modelfile.Checkpoint) (err error) {
	var options, device, environment []byte
	for _, v := range []struct {
		name string
		at   *[]byte
	}{{optionsName, &options}, {deviceName, &device}, {envName, &environment}, {choicesName, &c.choices}} {
		if *v.at, err = s.Blob(v.name); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(options, &c.options); err != nil {
		return errs.Wrap(errs.Corrupt, err, "train: checkpoint: options")
	}
	c.device, c.environment = string(device), string(environment)
	if c.n.clusters > int64(c.network.Learners.NumLearners()) {
		return corrupt("got %d clusters for %d learners", c.n.clusters, c.network.Learners.NumLearners())
	}
	c.samplers = make([][]byte, c.n.clusters)
	found := 4
	for _, b := range s.Blobs {
		if name, ok := strings.CutPrefix(b.Name, samplerPrefix); ok {
			k, err := strconv.Atoi(name)
			if err != nil || k < 0 || k >= len(c.samplers) || strconv.Itoa(k) != name {
				return corrupt("%q: got a sampler of no cluster, want 0 to %d", b.Name, len(c.samplers)-1)
			}
			c.samplers[k] = b.Data
			found++
		}
	}
	if len(s.Blobs) != found {
		return corrupt("got %d blobs, want %d", len(s.Blobs), found)
	}
	return nil
}
