package train

import (
	"fmt"
	"math"
	"time"

	"libdsl/lib/errs"
)

// Event of a progress message; the numbers are those of include/dsl.h.
type Event int32

// Events.
const (
	EventStep Event = iota
	EventValidated
	EventGrew
	EventNote
)

// Progress is what a training tells while it runs; NaN where there is no number yet.
type Progress struct {
	Stage       Stage
	Event       Event
	Epoch       int
	NumLearners int
	Learner     int // whose step it was
	Step        int64
	NumSteps    int64
	LearningRate,
	Loss,
	NMI,
	RecallAt1,
	MacroRecallAt1 float64
	Best     bool // this validation is the best so far
	ElapsedS float64
	WaitedS  float64 // that steps have waited for images since the process began with the run
	Message  string
	Sizes    []int     // EventGrew: neurons of each learner; a grouping's note: images of each cluster
	Scores   []float64 // EventGrew and a refused growth: [0, 1], in the order of the learner that grew
}

// teller makes the messages. The message is reused: a listener copies what it keeps.
type teller struct {
	tell    func(*Progress) bool
	p       Progress
	begun   time.Time
	stopped bool // the listener said false, to whichever message
}

func newTeller(tell func(*Progress) bool) *teller {
	if tell == nil {
		tell = func(*Progress) bool { return true }
	}
	nan := math.NaN()
	return &teller{tell: tell, begun: time.Now(), p: Progress{Loss: nan, NMI: nan, RecallAt1: nan, MacroRecallAt1: nan}}
}

// send fills in where the training is and hands the message over.
func (w *teller) send(t *Trainer, e Event, s Stage, message string) error {
	p := &w.p
	p.Event, p.Stage, p.Message = e, s, message
	p.ElapsedS = time.Since(w.begun).Seconds()
	if t != nil {
		p.Epoch, p.Step, p.NumSteps, p.NumLearners, p.LearningRate = t.epoch, t.done, t.sched.total, t.set.NumLearners(), t.args.LR
		p.WaitedS = t.data.loader.Waited().Seconds()
	}
	w.stopped = !w.tell(p) || w.stopped
	p.Sizes, p.Scores, p.Best = nil, nil, false
	if w.stopped {
		return errs.New(errs.Cancelled, "train: cancelled")
	}
	return nil
}

func (w *teller) step(t *Trainer, s Stage, k int, value float64) error {
	w.p.Loss, w.p.Learner = value, k
	return w.send(t, EventStep, s, "")
}

func (w *teller) validated(t *Trainer, s Stage, v Validation, best bool) error {
	w.p.NMI, w.p.RecallAt1, w.p.MacroRecallAt1, w.p.Best = v.NMI, v.RecallAt1, v.MacroRecallAt1, best
	return w.send(t, EventValidated, s, "")
}

// Notes and growths return nothing: a false there cancels at the next step.

func (w *teller) preparing(message string) { w.send(nil, EventNote, Prepare, message) }

func (w *teller) start(t *Trainer) {
	w.preparing(fmt.Sprintf("%v; %d training and %d validation images of %d classes; %d steps of %d images (%d warm-up, %d fine-tuning)",
		t.o.Arch, len(t.data.train), len(t.data.val), len(t.data.classes), t.sched.total, t.o.BatchSize, t.sched.warmup, t.sched.total-t.sched.finetune))
}

// resumed says where a run goes on, and why it may not be the run that was stopped.
func (w *teller) resumed(t *Trainer, differences []string) {
	w.note(t, fmt.Sprintf("going on after step %d of %d, in epoch %d", t.done, t.sched.total, t.epoch))
	for _, d := range differences {
		w.note(t, "results may differ from those of a run never stopped: "+d)
	}
}

func (w *teller) note(t *Trainer, message string) {
	w.send(t, EventNote, t.sched.stage(t.done), message)
}

func (w *teller) clustered(t *Trainer, c *clusters, moved, out int) {
	for _, m := range c.members {
		w.p.Sizes = append(w.p.Sizes, len(m))
	}
	text := fmt.Sprintf("clusters of %v images; %d images changed learner, %d sit out", w.p.Sizes, moved, out)
	if skipped := len(c.members) - len(c.usable); skipped > 0 {
		text += fmt.Sprintf("; %d clusters have one class only and are skipped", skipped)
	}
	w.note(t, text)
}

func (w *teller) grew(t *Trainer, scores []float64, reset []int) {
	for k := range t.set.NumLearners() {
		w.p.Sizes = append(w.p.Sizes, len(t.set.Subspace(k)))
	}
	w.p.Scores = scores
	w.send(t, EventGrew, Learn, fmt.Sprintf("grew to %d learners of %v neurons; %d neurons start anew", t.set.NumLearners(), w.p.Sizes, len(reset)))
}

func (w *teller) refused(t *Trainer, scores []float64, why string) {
	w.p.Scores = scores
	w.note(t, "no growth: "+why)
}

func (w *teller) done(t *Trainer) { w.send(t, EventNote, Done, "") }
