package dsl

import "context"

// TrainOptions are few; zero values mean the default of the profile.
type TrainOptions struct {
	OutPath         string // required: the best model; the last goes to its stem + ".last.dsl"
	LogPath         string // JSON lines, optional
	Backbone        string // "resnet18" (default), "resnet34", "resnet50"
	Stem            string // "standard" (default), "small"
	Attention       string // "gate" (default), "none"
	Profile         string // "scratch" (default), "paper"
	Device          string
	Learners        int // 0 dynamic, K ≥ 1 fixed
	EmbeddingDim    int // 128
	InputSize       int // 224
	Epochs          int
	Steps           int64 // > 0 replaces Epochs
	BatchSize       int
	ImagesPerClass  int // 8
	Threads         int
	SkipUnreadable  bool
	Seed            uint64
	LearningRate    float64
	ValidationShare float64 // 0.1
}

// Stage and Event number the progress messages, as in include/dsl.h.
type (
	Stage int32
	Event int32
)

// The stages of a training.
const (
	StagePrepare Stage = iota
	StageWarmup
	StageLearn
	StageFinetune
	StageDone
)

// The events of a training.
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
	NumEpochs   int
	NumLearners int
	Step        int64
	NumSteps    int64
	Loss        float64
	NMI         float64
	RecallAt1   float64
	ElapsedS    float64
	Message     string
}

// Train trains on d's "train" images and returns a summary as indented JSON. progress may be nil; it runs on the goroutine
// that called Train, and false cancels. Errors: Invalid naming the option, Unsupported, IO, Cancelled (the last model is then
// on disk if training had begun), and those of reading images.
func Train(ctx context.Context, d *Dataset, o TrainOptions, progress func(*Progress) bool) ([]byte, error) {
	return nil, errLater
}
