package train

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// Files writes the models of a run: the best one to Path, the last one beside it (LastPath). Writes are crash-safe; see modelfile.
type Files struct {
	Path           string
	LibraryVersion string
	Data           *dataset.Dataset
	Notes          string
}

// LastPath is the stem of path + ".last.dsl".
func LastPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".last.dsl"
}

// CheckpointPath is the stem of path + ".checkpoint.dsl".
func CheckpointPath(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".checkpoint.dsl"
}

// intendedUse is what every card says.
const intendedUse = "Similarity search, clustering and attention maps for research on images like those it was trained on. " +
	"Not a medical device; not for diagnosis."

// Save is an onSave of Run.
func (f *Files) Save(best bool, m *model.Model, v Validation) error {
	path := f.Path
	if !best {
		path = LastPath(path)
	}
	file, err := modelfile.FromModel(m, f.card(v))
	if err != nil {
		return err
	}
	return modelfile.Write(path, file)
}

// SaveCheckpoint is a Save of Checkpoints: it writes to CheckpointPath.
func (f *Files) SaveCheckpoint(c *Checkpoint) error {
	file, err := c.File(f.card(c.score))
	if err != nil {
		return err
	}
	return modelfile.Write(CheckpointPath(f.Path), file)
}

func (f *Files) card(v Validation) modelfile.Card {
	hash := f.Data.Hash()
	c := modelfile.Card{Created: time.Now().Unix(), LibraryVersion: f.LibraryVersion, DataHash: hex.EncodeToString(hash[:]), IntendedUse: intendedUse, Notes: f.Notes}
	for _, s := range []dataset.Split{dataset.Train, dataset.Val, dataset.Test} {
		c.Splits = append(c.Splits, modelfile.Count{Name: s.String(), Value: int64(len(f.Data.Indices(s)))})
	}
	for _, s := range []struct {
		name  string
		value float64
	}{{"val/nmi", v.NMI}, {"val/recall_at_1", v.RecallAt1}, {"val/macro_recall_at_1", v.MacroRecallAt1}, {"train/steps", float64(v.Step)}} {
		if !math.IsNaN(s.value) {
			c.Scores = append(c.Scores, modelfile.Score{Name: s.name, Values: []float64{s.value}})
		}
	}
	return c
}

// logEvery is the distance in steps of the log's step lines.
const logEvery = 10

// Log writes the messages of a run as JSON lines: every validation, growth and note, and each tenth step. The line's "event" is "step", "validated", "grew" or
// "note"; numbers that are not there yet are left out. Errors of w are returned by Err, once.
type Log struct {
	w     io.Writer
	bytes int64
	err   error
}

// NewLog writes to w.
func NewLog(w io.Writer) *Log { return &Log{w: w} }

// ContinueLog writes to w, behind the bytes that a run stopped before has written.
func ContinueLog(w io.Writer, bytes int64) *Log { return &Log{w: w, bytes: bytes} }

// Bytes is how long the log is.
func (l *Log) Bytes() int64 { return l.bytes }

// line is one line of the log.
type line struct {
	Event          string    `json:"event"`
	Stage          string    `json:"stage"`
	Step           int64     `json:"step"`
	NumSteps       int64     `json:"num_steps"`
	Epoch          int       `json:"epoch"`
	NumLearners    int       `json:"num_learners"`
	Learner        *int      `json:"learner,omitempty"`
	LearningRate   float64   `json:"learning_rate,omitempty"`
	Loss           *float64  `json:"loss,omitempty"`
	NMI            *float64  `json:"nmi,omitempty"`
	RecallAt1      *float64  `json:"recall_at_1,omitempty"`
	MacroRecallAt1 *float64  `json:"macro_recall_at_1,omitempty"`
	Best           bool      `json:"best,omitempty"`
	Sizes          []int     `json:"sizes,omitempty"`
	Scores         []float64 `json:"scores,omitempty"`
	Message        string    `json:"message,omitempty"`
	ElapsedS       float64   `json:"elapsed_s"`
	WaitedS        float64   `json:"waited_s"`
}

var eventNames = [...]string{"step", "validated", "grew", "note"}

// Write adds the line of a message.
func (l *Log) Write(p *Progress) {
	if l.err != nil || p.Event == EventStep && p.Step%logEvery != 0 {
		return
	}
	n := line{Event: eventNames[p.Event], Stage: p.Stage.String(), Step: p.Step, NumSteps: p.NumSteps, Epoch: p.Epoch, NumLearners: p.NumLearners,
		LearningRate: p.LearningRate, Best: p.Best, Sizes: p.Sizes, Scores: p.Scores, Message: p.Message, ElapsedS: p.ElapsedS, WaitedS: p.WaitedS}
	switch p.Event {
	case EventStep:
		n.Loss, n.Learner = number(p.Loss), &p.Learner
	case EventValidated:
		n.NMI, n.RecallAt1, n.MacroRecallAt1 = number(p.NMI), number(p.RecallAt1), number(p.MacroRecallAt1)
	}
	text, err := json.Marshal(n)
	if err == nil {
		var n int
		n, err = l.w.Write(append(text, '\n'))
		l.bytes += int64(n)
	}
	if err != nil {
		l.err = errs.Wrap(errs.IO, err, "train: log")
	}
}

// Err is the first error of writing.
func (l *Log) Err() error { return l.err }

func number(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
