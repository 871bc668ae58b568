package dsl

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
	"libdsl/lib/train"
)

// TrainOptions are few; zero values, and nil for shares, mean the default of the profile.
type TrainOptions struct {
	OutPath         string // required: the best model; the last goes to train.LastPath of it
	LogPath         string // JSON lines, optional
	InitPath        string // a model, or a ResNet as .safetensors: the weights to start from (modelfile.ReadPretrained), optional; "paper" needs one
	Backbone        string // "resnet18" (default), "resnet34", "resnet50"
	Stem            string // "standard" (default), "small"
	Attention       string // "gate" (default), "none"
	Profile         string // "scratch" (default), "paper"
	Device          string
	Precision       string
	Learners        int   // 0 dynamic, K ≥ 1 fixed
	EmbeddingDim    int   // 128
	InputSize       int   // 224
	Epochs          int   // passes over the training images
	Steps           int64 // > 0 replaces Epochs
	BatchSize       int
	ImagesPerClass  int
	Threads         int
	SkipUnreadable  bool
	Seed            uint64
	LearningRate    float64
	ValidationShare float64 // dataset.DefaultValShare
	WarmupShare     *float64
	FinetuneShare   *float64
	Loss            string // "margin" (default), another of package loss, or "classification"
	Mining          string // of the margin loss: "nearest" (default), "distance-weighted"
	Beta            string // of the margin loss: "fixed" (default), "learnt", "per-class"
	ClusterSpace    string // "embedding" (default), "penultimate"
	ReclusterEvery  int    // epochs
	Patience        int    // validations
	EmbeddingRate   float64

	ExactConvolutions bool // no Winograd convolutions on the CPU
	Nondeterministic  bool // on a GPU also kernels that add up in another order each time

	Resume           bool    // go on from the checkpoint beside OutPath, train.CheckpointPath of it, if there is one
	CheckpointEveryS float64 // seconds within an epoch; 0 is train.DefaultCheckpointEvery, negative makes no checkpoints
}

// Progress is what a training tells while it runs. While the images are checked (train.Prepare, train.EventStep), Step counts images.
type Progress = train.Progress

// Train trains on d's "train" images and returns a summary as indented JSON: see Summary. progress may be nil; it runs on
// the goroutine that called Train, and false cancels. d itself does not change.
//
// Errors: Invalid naming the option, Unsupported, IO, all before training begins; Cancelled (the last model is then on disk
// if training had begun); Corrupt naming images that cannot be read, unless SkipUnreadable.
func Train(ctx context.Context, d *Dataset, o TrainOptions, progress func(*Progress) bool) ([]byte, error) {
	begun := time.Now()
	t, err := trainOptions(o)
	if err != nil {
		return nil, err
	}
	if o.Precision == "int8" {
		return nil, errs.New(errs.Unsupported, "dsl: train: precision \"int8\" is for trained models; calibrate one")
	}
	be, err := openBackend(o.Device, o.Precision)
	if err != nil {
		return nil, err
	}
	if err := checkTrain(o, t); err != nil {
		return nil, err
	}
	r := &run{options: o, tell: progress}
	if err := r.openCheckpoint(); err != nil {
		return nil, err
	}
	if err := r.openLog(); err != nil {
		return nil, err
	}
	defer r.closeLog()
	data, err := r.prepare(ctx, d)
	if err != nil {
		return nil, err
	}
	files := &train.Files{Path: o.OutPath, LibraryVersion: Version, Data: data, Notes: origin(t.Init)}
	if t.Checkpoints, err = r.checkpoints(files); err != nil {
		return nil, err
	}
	res, err := train.Run(ctx, be, data, t, r.pass, files.Save)
	if err != nil {
		return nil, err
	}
	if err := r.closeLog(); err != nil {
		return nil, err
	}
	return indented(r.summary(res, be.Device(), time.Since(begun)))
}

func trainOptions(o TrainOptions) (train.Options, error) {
	t := train.Options{
		Profile:   o.Profile,
		Arch:      model.Arch{Backbone: o.Backbone, Stem: o.Stem, Attention: o.Attention, EmbeddingDim: o.EmbeddingDim},
		InputSize: o.InputSize, Learners: o.Learners, Epochs: o.Epochs, Steps: o.Steps, BatchSize: o.BatchSize,
		ImagesPerClass: o.ImagesPerClass, LearningRate: o.LearningRate, WarmupShare: o.WarmupShare, FinetuneShare: o.FinetuneShare, Threads: threads(o.Threads), Workers: threads(o.Threads), Seed: o.Seed,
		Loss: o.Loss, Mining: o.Mining, Beta: o.Beta, ClusterSpace: o.ClusterSpace, ReclusterEvery: o.ReclusterEvery, Patience: o.Patience, EmbeddingRate: o.EmbeddingRate,
		ExactConvolutions: o.ExactConvolutions, Nondeterministic: o.Nondeterministic,
	}
	if o.InitPath == "" {
		return t, nil
	}
	var err error
	t.Init, err = modelfile.ReadPretrained(o.InitPath, modelfile.Limits{})
	return t, err
}

// origin is what a model's card says about the weights that its training started from.
func origin(p *model.Pretrained) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("Trained from the weights (%s) of a file with SHA-256 %s.", p.Arch.Backbone, p.Hash)
}

// checkTrain finds what can be wrong before any image is read; t is a copy, filled here only.
func checkTrain(o TrainOptions, t train.Options) error {
	if err := checkThreads(o.Threads); err != nil {
		return err
	}
	if err := t.Fill(); err != nil {
		return err
	}
	if err := t.Check(); err != nil {
		return err
	}
	if !(o.ValidationShare >= 0 && o.ValidationShare < 1) {
		return errs.New(errs.Invalid, "dsl: validation_share: got %g, want 0 (the default) to below 1", o.ValidationShare)
	}
	if math.IsNaN(o.CheckpointEveryS) {
		return errs.New(errs.Invalid, "dsl: checkpoint_every_s: got NaN, want seconds, 0 for the default or below 0 for none")
	}
	return checkOutput(o.OutPath)
}

// checkOutput finds out at once whether a file can be made beside path, not hours later.
func checkOutput(path string) error {
	if path == "" {
		return errs.New(errs.Invalid, "dsl: out_path: got none, want where to write the model")
	}
	name := filepath.Base(path)
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return errs.New(errs.Invalid, "dsl: out_path %q: it is a folder or device, want a file", name)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".dsl-*")
	if err != nil {
		return pathError(err, "dsl: out_path %q: cannot write into its folder", name)
	}
	f.Close()
	return os.Remove(f.Name())
}

// pathError says what the system says, without the path.
func pathError(err error, format string, name string) error {
	kind := errs.IO
	if os.IsNotExist(err) {
		kind = errs.NotFound
	}
	if pe, ok := err.(*os.PathError); ok {
		err = pe.Err
	}
	return errs.Wrap(kind, err, format, name)
}

// run is one training seen from outside: its listeners and what it found in the data.
type run struct {
	options TrainOptions
	tell    func(*Progress) bool
	file    *os.File // of the log
	log     *train.Log
	skipped []string

	checkpoint  *train.Checkpoint // that the run goes on from, nil for none
	differences []string          // why it may not be bit for bit the run that was stopped
}

func (r *run) openLog() error {
	r.log = train.NewLog(io.Discard)
	if r.options.LogPath == "" {
		return nil
	}
	how := os.O_RDWR | os.O_CREATE
	if r.checkpoint == nil {
		how |= os.O_TRUNC
	}
	var err error
	if r.file, err = os.OpenFile(r.options.LogPath, how, 0o666); err != nil {
		return r.logError(err)
	}
	if r.checkpoint != nil {
		return r.checkLog() // it is written to when the run stands where the checkpoint does
	}
	r.log = train.NewLog(r.file)
	return nil
}

func (r *run) logError(err error) error {
	return pathError(err, "dsl: log_path %q: cannot write it", filepath.Base(r.options.LogPath))
}

// closeLog reports the first error of writing; a second call does nothing.
func (r *run) closeLog() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	if err != nil {
		return r.logError(err)
	}
	return r.log.Err()
}

// pass hands a message to the log and the listener.
func (r *run) pass(p *Progress) bool {
	r.log.Write(p)
	return r.tell == nil || r.tell(p)
}

// note tells a text before the training itself begins.
func (r *run) note(text string) bool {
	nan := math.NaN()
	return r.pass(&Progress{Stage: train.Prepare, Event: train.EventNote, Loss: nan, NMI: nan, RecallAt1: nan, MacroRecallAt1: nan, Message: text})
}

// prepare reads every image that the training will read once and makes the validation split that the data lack.
func (r *run) prepare(ctx context.Context, d *Dataset) (*dataset.Dataset, error) {
	data, err := d.fresh()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, w := range data.Warnings {
		if !r.note(w) {
			cancel()
		}
	}
	bad, err := data.Check(ctx, dataset.CheckOptions{Workers: threads(r.options.Threads), SkipUnreadable: r.options.SkipUnreadable,
		Progress: func(done, total int) {
			if every := max(1, total/100); r.tell == nil || done%every != 0 && done != total {
				return
			}
			nan := math.NaN()
			p := Progress{Stage: train.Prepare, Event: train.EventStep, Step: int64(done), NumSteps: int64(total), Loss: nan, NMI: nan, RecallAt1: nan, MacroRecallAt1: nan}
			if !r.tell(&p) {
				cancel()
			}
		}})
	if err != nil {
		return nil, err
	}
	for _, b := range bad {
		r.skipped = append(r.skipped, b.Name)
		if !r.note(fmt.Sprintf("left out: %v", b.Err)) {
			cancel()
		}
	}
	share := r.options.ValidationShare
	if share == 0 {
		share = dataset.DefaultValShare
	}
	if err := data.HoldOut(r.options.Seed, share, 0); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, errs.Wrap(errs.Cancelled, ctx.Err(), "dsl: train")
	}
	return data, nil
}

// Summary is the JSON of Train.
type Summary struct {
	Model       string        `json:"model"` // base name of the file
	LastModel   string        `json:"last_model"`
	Device      string        `json:"device"`       // what it ran on, and in which precision
	NumLearners int           `json:"num_learners"` // of the best model
	Growths     int           `json:"growths"`
	Steps       int64         `json:"steps"`
	Best        SummaryScores `json:"best"`
	Last        SummaryScores `json:"last"`
	Skipped     []string      `json:"skipped"` // base names of images left out
	ElapsedS    float64       `json:"elapsed_s"`
	WaitedS     float64       `json:"waited_s"` // of these, that steps waited for images to be read; decoding ahead hides the rest of it

	ResumedStep       int64    `json:"resumed_step"`       // of the checkpoint that the run went on from, 0 for a run from the start
	ResumeDifferences []string `json:"resume_differences"` // why the results may differ from those of a run never stopped; none: they are equal bit for bit
}

// SummaryScores are what a model scored on the validation split.
type SummaryScores struct {
	NMI            float64 `json:"nmi"`
	RecallAt1      float64 `json:"recall_at_1"`
	MacroRecallAt1 float64 `json:"macro_recall_at_1"`
	Step           int64   `json:"step"`
	Epoch          int     `json:"epoch"`
}

func (r *run) summary(res *train.Result, device string, took time.Duration) Summary {
	scores := func(v train.Validation) SummaryScores {
		if math.IsInf(v.NMI, 0) || math.IsNaN(v.NMI) { // never validated: JSON has no such numbers
			v.NMI = 0
		}
		return SummaryScores{v.NMI, v.RecallAt1, v.MacroRecallAt1, v.Step, v.Epoch}
	}
	from := int64(0)
	if r.checkpoint != nil {
		from = r.checkpoint.Step()
	}
	return Summary{Model: filepath.Base(r.options.OutPath), LastModel: filepath.Base(train.LastPath(r.options.OutPath)),
		Device: device, NumLearners: res.Best.Learners.NumLearners(), Growths: res.Growths, Steps: res.Steps, Best: scores(res.BestScore),
		Last: scores(res.LastScore), Skipped: append([]string{}, r.skipped...), ElapsedS: took.Seconds(), WaitedS: res.WaitedS,
		ResumedStep: from, ResumeDifferences: append([]string{}, r.differences...)}
}
