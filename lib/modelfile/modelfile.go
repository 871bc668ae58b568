// Package modelfile reads and writes .dsl files: models, checkpoints to resume a training from, and galleries of embeddings. It also reads
// the weights of a backbone from .safetensors files, which other programs write (pretrained.go).
//
// A file is a fixed outer header (header.go), then one zstd frame holding one FlatBuffer (schema/model.fbs). Nothing of
// a file is believed before it is checked: header CRC, sizes, SHA-256 of the body, every offset of the FlatBuffer
// (verify.go), then what the values mean (check.go).
//
// The package deals in plain structs and knows neither networks nor training: whoever reads a model states with
// File.Expect which tensors its architecture has. Paths and patient data have no place in a file.
package modelfile

// Numbers that no file may exceed; a sane model stays far below them.
const (
	maxTensorRank   = 4
	maxEmbeddingDim = 1 << 16
	maxInputSize    = 1 << 14
	maxNameBytes    = 1 << 8  // tensors, counters, scores
	maxClassBytes   = 1 << 10 // a class name
	maxTextBytes    = 1 << 16 // one text of the card
)

// File is all that a .dsl file holds. With Checkpoint nil it is a model, else a checkpoint.
type File struct {
	Arch       Arch
	Preprocess Preprocess
	ClassNames []string  // by label; may be empty, except with a classification head, which has one name per output
	Learners   [][]int32 // the embedding neurons of each learner: a partition of 0..EmbeddingDim-1
	Tensors    []Tensor  // weights and running statistics, all float32
	Card       Card
	Checkpoint *Checkpoint
	Ranges     []NamedFloat // of the network's feature maps, finite and not negative; none unless the model was calibrated

	source string // base name of the file it came from, for messages
}

// Arch is the network's architecture.
type Arch struct {
	Backbone     string // "resnet18", "resnet34", "resnet50", each cut after its third stage
	Stem         string // "standard", "small"
	Attention    string // "gate", "none"
	BatchNorm    string // "frozen", "batch"
	Head         string // model.EmbeddingHead, model.ClassificationHead
	EmbeddingDim int    // outputs of the head: D, or the number of classes of a classification head
}

// Preprocess says how an image becomes the network's input: its shorter side is resized to
// InputSize·ResizeNum/ResizeDen, the centre InputSize×InputSize pixels are cut out, and each channel of the RGB values
// in [0, 1] has Mean subtracted and is divided by Std.
type Preprocess struct {
	InputSize int // pixels
	ResizeNum int // ResizeNum/ResizeDen ≥ 1; 8/7 is 256 against 224
	ResizeDen int
	Mean      [3]float32
	Std       [3]float32
}

// Element is what a tensor may hold.
type Element interface {
	float32 | int32 | uint8 | int64 | float64
}

// Tensor is a named array of one to four dimensions, row-major. Dimensions are ≥ 1, except that a one-dimensional
// tensor of a checkpoint may be empty. Values of float32 are finite.
type Tensor struct {
	Name  string
	Shape []int32
	Data  any // []float32, []int32, []uint8, []int64 or []float64; float32 outside of a checkpoint
}

// Card is the model card: what a person must know before using the model.
type Card struct {
	Created        int64   // unix seconds, UTC
	LibraryVersion string  // of libdsl, which wrote the file
	DataHash       string  // lower-case hexadecimal digest of the training data, or empty
	Splits         []Count // images per split
	Scores         []Score // for instance recall@1 on the test split
	IntendedUse    string  // free text
	Notes          string  // free text; neither paths nor patient data
}

// Count is how many images a split has.
type Count struct {
	Name  string
	Value int64
}

// Score is a named list of finite numbers, for instance one per seed.
type Score struct {
	Name   string
	Values []float64
}

// Checkpoint is what a resumed training needs beside the model. It is generic on purpose: training decides on names
// and meaning. Names are unique within each of the four lists. Floats and float64 tensors may be NaN or infinite.
type Checkpoint struct {
	Tensors []Tensor // moments, step counts, loss parameters, the best model, assignment, histories
	Ints    []NamedInt
	Floats  []NamedFloat
	Blobs   []NamedBlob // states of random streams and samplers, the options as JSON
}

// NamedInt is a counter of a checkpoint.
type NamedInt struct {
	Name  string
	Value int64
}

// NamedFloat is a number of a checkpoint, or a range.
type NamedFloat struct {
	Name  string
	Value float64
}

// NamedBlob is opaque bytes of a checkpoint.
type NamedBlob struct {
	Name string
	Data []byte
}

// TensorSpec is a tensor that an architecture has.
type TensorSpec struct {
	Name  string
	Shape []int32
}
