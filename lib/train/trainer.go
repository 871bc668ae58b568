// Package train is the training loop of the method: a warm-up as a classification network, learners that train on clusters of the data and
// grow at a plateau, and fine-tuning of the whole embedding.
//
// The network runs on a device through model.Runner; everything here works on B×D numbers on the host. One loop serves dynamic growth, a fixed
// number of learners and a single one. The trainer owns its store and changes nobody's model.
package train

import (
	"context"
	"errors"
	"maps"
	"math"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/learner"
	"libdsl/lib/loss"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// B batch, D embedding dim, C feature channels, K learners, N images.

// Trainer is one run. It has one owner.
type Trainer struct {
	o     Options
	sched schedule
	data  *data
	tell  *teller

	backend backend.Backend
	runner  *model.Runner // of the network as it is now: classification head or embedding
	states  []ir.Tensor   // Adam's, in its store
	warming bool          // it is the warm-up's, with a classification head
	set     *learner.Set
	frozen  bool // BatchNorm uses its running statistics

	loss   loss.Loss      // of the learners
	learnt lossParameters // of loss
	host   hostBuffers
	rows   []uint8 // embedding neurons that a step trains
	active int     // the learner that a step trains, or whole
	args   ir.Args

	learnerGradient gradient // gradientOf, bound once so that no step allocates
	done            int64    // optimiser steps
	adam            int64    // optimiser steps since Adam's state was last reset
	epoch           int
	at              position
	current         clusters
	regrouping      bool // the run goes on from where it was stopped while grouping, and has told so
	growth          growth
	best            best
	kept            keeper
	identity        identity // for checkpoints
}

// hostBuffers are the B×D numbers of a step, made once.
type hostBuffers struct {
	z, dz []float32 // unit rows that the loss sees, and its gradient
}

// Result is what a run ends with.
type Result struct {
	Best, Last           *model.Model
	BestScore, LastScore Validation
	Steps                int64
	Growths              int
	WaitedS              float64 // as in Progress
}

// Run trains on the dataset's training split and validates on its validation split. tell may be nil; it runs on the caller's goroutine,
// and returning false cancels. onSave, when set, gets each new best model and, at each validation, the last one.
//
// Errors: Invalid for options or data that make no sense, before anything is trained; Cancelled, with a Result that holds what there is; Device; OutOfMemory;
// those of onSave and of reading images.
func Run(ctx context.Context, be backend.Backend, d *dataset.Dataset, o Options, tell func(*Progress) bool,
	onSave func(best bool, m *model.Model, v Validation) error) (res *Result, err error) {
	if err := o.Fill(); err != nil {
		return nil, err
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	t := &Trainer{o: o, backend: be, tell: newTeller(tell)}
	t.best.onSave = onSave
	t.learnerGradient = t.gradientOf
	if t.data, err = openData(ctx, d, &t.o); err != nil {
		return nil, err
	}
	defer t.data.close()
	if o.Loss == Classification {
		t.o.Arch.EmbeddingDim = len(t.data.classes)
	}
	if err = t.openLoss(); err != nil {
		return nil, err
	}
	t.sched = newSchedule(&t.o, int64(max(1, len(t.data.train)/o.BatchSize)))
	t.growth.improved = math.Inf(-1)
	t.best.score.NMI = math.Inf(-1)
	defer t.closeNetwork()
	t.identify()
	t.kept.last = time.Now()
	err = t.run(ctx)
	if err != nil && errs.KindOf(err) != errs.Cancelled {
		return nil, err
	}
	var keepErr error
	if err != nil {
		keepErr = t.keepStopped()
	}
	res, saveErr := t.finish()
	saveErr = errors.Join(keepErr, saveErr)
	if err != nil && saveErr != nil {
		return res, errs.Wrap(errs.Cancelled, saveErr, "train: cancelled, and the model as it was could not be kept")
	}
	if err == nil {
		err = saveErr
	}
	return res, err
}

// run goes through the stages.
func (t *Trainer) run(ctx context.Context) error {
	w, err := t.initial()
	if err != nil {
		return err
	}
	if c := t.o.Checkpoints.Resume; c != nil {
		if err := t.restore(c); err != nil {
			return err
		}
	} else {
		t.tell.start(t)
	}
	if resumed := t.o.Checkpoints.Resume != nil; !resumed || t.warming {
		if t.sched.warmup > 0 {
			if w, err = t.warmup(ctx, w); err != nil {
				return err
			}
		}
		t.frozen = t.o.Init != nil || t.sched.warmup > 0
		if err := t.openNetwork(t.o.Arch, w); err != nil {
			return err
		}
	}
	if t.o.Loss == Classification {
		return t.classify(ctx, Learn)
	}
	return t.learn(ctx)
}

// initial makes the learners and the weights to start from.
func (t *Trainer) initial() (model.Weights, error) {
	k := max(1, t.o.Learners)
	var err error
	if t.set, err = learner.New(t.o.Arch.EmbeddingDim, k); err != nil {
		return nil, err
	}
	w, err := model.Init(t.o.Arch, t.set.Subspaces(), t.o.Seed)
	if err != nil {
		return nil, err
	}
	if t.o.Init != nil {
		maps.Copy(w, t.o.Init.Weights.Clone())
	}
	return w, nil
}

// openNetwork puts weights into a store with fresh Adam state and starts an executor for them.
func (t *Trainer) openNetwork(a model.Arch, w model.Weights) error {
	t.closeNetwork()
	tensors, err := model.Tensors(a, true)
	if err != nil {
		return err
	}
	s, err := t.backend.NewStore(tensors)
	if err != nil {
		return err
	}
	if err := w.WriteTo(s); err != nil {
		s.Close()
		return err
	}
	if t.states, err = adamStates(a); err != nil {
		s.Close()
		return err
	}
	o := backend.Options{Threads: t.o.Threads, Winograd: !t.o.ExactConvolutions, Nondeterministic: t.o.Nondeterministic}
	if t.runner, err = model.NewRunner(a, t.backend, s, o, false); err != nil {
		s.Close()
		return err
	}
	n := t.o.BatchSize * a.EmbeddingDim
	t.host = hostBuffers{z: make([]float32, n), dz: make([]float32, n)}
	t.rows = make([]uint8, a.EmbeddingDim)
	t.adam, t.warming = 0, false
	return nil
}

func (t *Trainer) closeNetwork() {
	if t.runner != nil {
		t.runner.Close()
		t.runner.Store.Close()
		t.runner = nil
	}
}

// weights copies the network's weights from the device.
func (t *Trainer) weights() (model.Weights, error) {
	tensors, err := model.Tensors(t.runner.Arch, false)
	if err != nil {
		return nil, err
	}
	w := model.Weights{}
	for _, x := range tensors {
		w[x.Name] = make([]float32, x.Shape.Count())
	}
	return w, w.ReadFrom(t.runner.Store)
}

// gradient computes the loss of the host's rows e [B,D] and writes dL/de to de.
type gradient func(e []float32, labels []int64, de []float32) (value float64, err error)

// step trains on one batch. Nothing of it allocates.
func (t *Trainer) step(ctx context.Context, prog backend.Program, b *batch, g gradient) (float64, error) {
	t.done++
	t.adam++
	rows, others := t.sched.rates(t.done - 1)
	t.args = ir.Args{LR: others, RowLR: rows, WeightDecay: t.o.WeightDecay, Beta1: 0.9, Beta2: 0.999, AdamEps: 1e-8,
		Step: t.adam, DropoutKey: rng.DropoutKey(t.o.Seed, uint64(t.done)), BNMomentum: 0.1}
	value, err := t.computeStep(ctx, prog, b, g)
	if err != nil {
		t.done--
		t.adam--
	}
	return value, err
}

func (t *Trainer) computeStep(ctx context.Context, prog backend.Program, b *batch, g gradient) (float64, error) {
	pixels, err := prog.Input(model.InPixels)
	if err != nil {
		return 0, err
	}
	copy(pixels, b.pixels)
	rows, err := prog.Input(model.InRows)
	if err != nil {
		return 0, err
	}
	copy(rows, t.rows)
	if err := prog.Forward(ctx, &t.args); err != nil {
		return 0, err
	}
	e, err := prog.Output(model.OutEmbedding)
	if err != nil {
		return 0, err
	}
	seed, err := prog.InputF32(model.InSeed)
	if err != nil {
		return 0, err
	}
	t.growth.scores.CopyTo(&t.growth.before)
	value, err := g(e, b.labels, seed)
	if err != nil {
		return 0, errs.Wrap(errs.KindOf(err), err, "train: step %d: no loss for these embeddings; if they are not finite, a smaller learning_rate may help", t.done)
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, errs.New(errs.Invalid, "train: step %d: the loss is %v; a smaller learning_rate may help", t.done, value)
	}
	if err := prog.Backward(ctx, &t.args); err != nil {
		t.takeBack()
		return 0, err
	}
	return value, nil
}

// takeBack forgets what the host has counted of a step that was cancelled in its backward pass.
func (t *Trainer) takeBack() {
	t.growth.before.CopyTo(&t.growth.scores)
	if u, ok := t.loss.(loss.Undoer); ok {
		u.Undo()
	}
}

// program is the training program for the network as it is now.
func (t *Trainer) program() (backend.Program, error) {
	mode := model.TrainBatch
	if t.frozen {
		mode = model.Train
	}
	return t.runner.Program(mode, t.o.BatchSize, t.o.InputSize, t.o.InputSize)
}
