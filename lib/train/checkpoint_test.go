package train

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/backend/onednn"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

func lateOptions() Options {
	o := tiny(20)
	o.Learners = 2
	return o
}

// late is a checkpoint of a run of lateOptions among clusters, after a validation of an embedding network and a step of the newest learner.
func late(t *testing.T, d *dataset.Dataset) *Checkpoint {
	t.Helper()
	validations := 0
	c := stopped(t, d, lateOptions(), func(p *Progress) bool {
		if p.Event == EventValidated && p.Stage == Learn {
			validations++
		}
		return p.Event == EventStep && validations > 0 && p.Stage == Learn && p.Learner == 1
	})
	if c.n.scored == 0 || c.best == nil || c.n.whole == 1 || phase(c.n.phase) != training {
		t.Fatalf("got %+v", c.n)
	}
	return c
}

// spoiled is a copy of f whose checkpoint may be changed; the data of its tensors are shared.
func spoiled(f *modelfile.File) *modelfile.File {
	g, s := *f, *f.Checkpoint
	s.Tensors, s.Ints, s.Floats, s.Blobs = slices.Clone(s.Tensors), slices.Clone(s.Ints), slices.Clone(s.Floats), slices.Clone(s.Blobs)
	g.Checkpoint = &s
	return &g
}

type state = modelfile.Checkpoint

func tensorOf(s *state, name string) *modelfile.Tensor {
	return &s.Tensors[slices.IndexFunc(s.Tensors, func(t modelfile.Tensor) bool { return t.Name == name })]
}

func setInt(name string, v int64) func(s *state) {
	return func(s *state) {
		s.Ints[slices.IndexFunc(s.Ints, func(n modelfile.NamedInt) bool { return n.Name == name })].Value = v
	}
}

func setFloat(name string, v float64) func(s *state) {
	return func(s *state) {
		s.Floats[slices.IndexFunc(s.Floats, func(n modelfile.NamedFloat) bool { return n.Name == name })].Value = v
	}
}

func setBlob(name string, v []byte) func(s *state) {
	return func(s *state) {
		s.Blobs[slices.IndexFunc(s.Blobs, func(n modelfile.NamedBlob) bool { return n.Name == name })].Data = v
	}
}

// setElement changes one element of a tensor's own copy.
func setElement[T modelfile.Element](name string, i int, v T) func(s *state) {
	return func(s *state) {
		t := tensorOf(s, name)
		data := slices.Clone(t.Data.([]T))
		data[i] = v
		t.Data = data
	}
}

func dropTensor(name string) func(s *state) {
	return func(s *state) {
		s.Tensors = slices.DeleteFunc(s.Tensors, func(t modelfile.Tensor) bool { return t.Name == name })
	}
}

func reshape(name string, data any, shape ...int32) func(s *state) {
	return func(s *state) {
		t := tensorOf(s, name)
		t.Shape, t.Data = shape, data
	}
}

func addTensor(name string, data any, n int32) func(s *state) {
	return func(s *state) {
		s.Tensors = append(s.Tensors, modelfile.Tensor{Name: name, Shape: []int32{n}, Data: data})
	}
}

func TestACheckpointThatSaysSomethingImpossibleIsCorrupt(t *testing.T) {
	kept := late(t, stripes(t, 3, 30, 12))
	file, err := kept.File(modelfile.Card{DataHash: kept.data, LibraryVersion: kept.version})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CheckpointOf(file); err != nil {
		t.Fatal(err)
	}
	bias, m, v := model.EmbeddingBias, model.MomentName(model.EmbeddingBias), model.VarianceName(model.EmbeddingBias)
	for name, spoil := range map[string]func(s *state){
		"a count is missing":                            func(s *state) { s.Ints = s.Ints[1:] },
		"a count too many":                              func(s *state) { s.Ints = append(s.Ints, modelfile.NamedInt{Name: "more"}) },
		"no step was done":                              setInt("step", 0),
		"a negative count":                              setInt("growth/waited", -1),
		"a count beyond any run":                        setInt("adam_step", math.MaxInt64),
		"an unknown phase":                              setInt("epoch/phase", 3),
		"more clusters than learners":                   setInt("clusters", 3),
		"no cluster":                                    setInt("clusters", 0),
		"no threads":                                    setInt("threads", 0),
		"a measure is missing":                          func(s *state) { s.Floats = s.Floats[1:] },
		"a measure too many":                            func(s *state) { s.Floats = append(s.Floats, modelfile.NamedFloat{Name: "more"}) },
		"an NMI above 1":                                setFloat("best/nmi", 1.5),
		"an infinite loss":                              setFloat("told/loss", math.Inf(1)),
		"a best NMI that is not a number":               setFloat("growth/improved", math.NaN()),
		"a negative duration":                           setFloat("elapsed_s", -1),
		"a moment is missing":                           dropTensor(m),
		"a misshapen moment":                            reshape(m, make([]float32, 23), 23),
		"moments of whole numbers":                      reshape(m, make([]int32, 24), 24),
		"a negative second moment":                      setElement(v, 3, float32(-1)),
		"a row counted more often than there are steps": setElement(model.CountName(bias), 0, int32(kept.Step()+1)),
		"a negative count of a row":                     setElement(model.CountName(bias), 0, int32(-1)),
		"counts of fractions":                           reshape(model.CountName(bias), make([]float32, 24), 24),
		"a tensor too many":                             addTensor("more", []float32{1}, 1),
		"a best model without a weight":                 dropTensor(bestPrefix + bias),
		"a misshapen weight of the best model":          reshape(bestPrefix+bias, make([]float32, 23), 23),
		"a negative variance of the best model":         setElement(bestPrefix+"bn1.running_var", 0, float32(-1)),
		"a best model that is not there":                setInt("best", 0),
		"a best model of learners that never were":      setElement(bestOwners, 0, int32(2)),
		"a neuron of the best model with no learner":    setElement(bestOwners, 0, int32(-1)),
		"learners of too few neurons":                   reshape(bestOwners, make([]int32, 23), 23),
		"an assignment to no cluster":                   setElement(assignedName, 4, int32(2)),
		"an assignment of fractions":                    reshape(assignedName, make([]float32, 30), 30),
		"no assignment":                                 dropTensor(assignedName),
		"scores that are not numbers":                   setElement(scoresName, 0, math.NaN()),
		"no scores":                                     dropTensor(scoresName),
		"options that are no JSON":                      setBlob(optionsName, []byte("{")),
		"options that are a list":                       setBlob(optionsName, []byte("[1]")),
		"no device":                                     func(s *state) { s.Blobs[1].Name = "dev" },
		"a sampler of no cluster":                       func(s *state) { s.Blobs = append(s.Blobs, modelfile.NamedBlob{Name: "sampler/2"}) },
		"a sampler under another spelling":              func(s *state) { s.Blobs = append(s.Blobs, modelfile.NamedBlob{Name: "sampler/01"}) },
		"a negative sampler":                            func(s *state) { s.Blobs = append(s.Blobs, modelfile.NamedBlob{Name: "sampler/-1"}) },
		"a blob too many":                               func(s *state) { s.Blobs = append(s.Blobs, modelfile.NamedBlob{Name: "more"}) },
	} {
		f := spoiled(file)
		spoil(f.Checkpoint)
		if _, err := CheckpointOf(f); errs.KindOf(err) != errs.Corrupt {
			t.Errorf("%s: got %v", name, err)
		}
	}
	plain := *file
	plain.Checkpoint = nil
	if _, err := CheckpointOf(&plain); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "got a model") {
		t.Errorf("a model: got %v", err)
	}
}

func TestACheckpointThatDoesNotFitItsRunIsCorrupt(t *testing.T) {
	d := stripes(t, 3, 30, 12)
	kept := late(t, d)
	file, err := kept.File(modelfile.Card{DataHash: kept.data, LibraryVersion: kept.version})
	if err != nil {
		t.Fatal(err)
	}
	sampler := slices.IndexFunc(file.Checkpoint.Blobs, func(b modelfile.NamedBlob) bool { return strings.HasPrefix(b.Name, samplerPrefix) })
	name := file.Checkpoint.Blobs[sampler].Name
	for what, spoil := range map[string]func(s *state){
		"steps beyond the end":                 setInt("step", 21),
		"more steps since a new state of Adam": setInt("adam_step", 21),
		"more steps of an epoch than it has":   setInt("epoch/steps", kept.Step()-8),
		"scores of no images":                  setInt("growth/images", 0),
		"an epoch of the warm-up":              setInt("epoch/steps", kept.Step()),
		"a sampler that is cut":                setBlob(name, file.Checkpoint.Blobs[sampler].Data[:40]),
		"a sampler that is missing":            func(s *state) { s.Blobs = slices.Delete(s.Blobs, sampler, sampler+1) },
		"an assignment of fewer images":        reshape(assignedName, make([]int32, 29), 29),
		"a state of a loss that has none":      addTensor(lossPrefix+"beta.value", []float64{1}, 1),
		"scores of a learner of another size":  reshape(scoresName, []float64{1, 2}, 2),
	} {
		f := spoiled(file)
		spoil(f.Checkpoint)
		c, err := CheckpointOf(f)
		if err != nil {
			t.Errorf("%s: refused too early: %v", what, err)
			continue
		}
		o := lateOptions()
		o.Checkpoints = Checkpoints{Resume: c, Version: "test"}
		steps := 0
		_, err = Run(context.Background(), onednn.Backend{}, d, o, func(p *Progress) bool {
			if p.Event == EventStep {
				steps++
			}
			return true
		}, nil)
		if errs.KindOf(err) != errs.Corrupt || steps > 0 {
			t.Errorf("%s: got %v after %d steps", what, err, steps)
		}
	}
}

// FuzzCheckpoint changes a count, a measure and a blob. What is accepted must serve a run.
func FuzzCheckpoint(f *testing.F) {
	t := &testing.T{}
	d := stripes(t, 3, 30, 12)
	kept := late(t, d)
	file, err := kept.File(modelfile.Card{DataHash: kept.data, LibraryVersion: kept.version})
	if err != nil {
		f.Fatal(err)
	}
	for i, b := range file.Checkpoint.Blobs {
		f.Add(uint8(i), file.Checkpoint.Ints[i].Value, file.Checkpoint.Floats[i].Value, b.Data)
	}
	f.Add(uint8(4), int64(3), math.NaN(), []byte(nil))
	f.Fuzz(func(t *testing.T, which uint8, count int64, measure float64, blob []byte) {
		g := spoiled(file)
		s, i := g.Checkpoint, int(which)
		s.Ints[i%len(s.Ints)].Value = count
		s.Floats[i%len(s.Floats)].Value = measure
		s.Blobs[i%len(s.Blobs)].Data = blob
		c, err := CheckpointOf(g)
		if err != nil {
			return
		}
		tr := open(t, d, lateOptions())
		tr.warming = false
		if tr.fits(c) != nil {
			return
		}
		tr.setNumbers(c)
		tr.set = c.network.Learners.Clone()
		if tr.restoreClusters(c) == nil {
			tr.current.turns(tr.at.taken)()
		}
	})
}

func TestTheLossGoesOnWithWhatItCarries(t *testing.T) {
	o := tiny(8)
	tr := open(t, stripes(t, 3, 24, 12), o)
	carries := func() loss.Loss {
		l, err := loss.New("margin", loss.Options{Mining: "distance-weighted", Beta: loss.BetaLearnt, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	tr.loss, tr.current = carries(), clusters{whole: true}
	for range 3 {
		stepOn(t, tr, 0, Learn)
		tr.loss.(loss.Parametric).Update(0.1)
	}
	want := tr.loss.(loss.Stateful).State()
	tr.identify()
	tr.current, tr.at = clusters{whole: true, members: [][]int{tr.data.train}}, position{}
	c, err := tr.capture()
	if err != nil {
		t.Fatal(err)
	}
	back := throughFile(t, c)
	tr.loss = carries()
	if err := tr.restoreLoss(back); err != nil {
		t.Fatal(err)
	}
	got := tr.loss.(loss.Stateful).State()
	for i := range want {
		if got[i].Name != want[i].Name || !slices.Equal(got[i].Floats, want[i].Floats) || !slices.Equal(got[i].Counts, want[i].Counts) {
			t.Errorf("got %v, want %v", got[i], want[i])
		}
	}
	back.loss = back.loss[1:]
	if err := tr.restoreLoss(back); errs.KindOf(err) != errs.Corrupt {
		t.Errorf("a part of it is missing: got %v", err)
	}
}
