package dsl

import "context"

// SessionOptions says where and how a session runs; the zero value is "auto" with all cores.
type SessionOptions struct {
	Device         string // "", "auto", "cpu", "cuda", "cuda:N"
	Threads        int    // 0: as SetNumThreads says
	BatchInvariant bool   // an embedding does not depend in one bit on the images beside it
}

// Session runs a model on a device with an executor of its own. Calls from several goroutines wait for each other.
type Session struct{}

// NewSession starts an executor. Errors: Invalid, Unsupported, Device, OutOfMemory.
func NewSession(m *Model, o SessionOptions) (*Session, error) { return nil, errLater }

// Close ends the executor after the call in progress; it may be called twice.
func (s *Session) Close() error { return nil }

// Embed writes the embeddings of the images, [N, D], rows of unit length, to out.
// Errors: BufferTooSmall, Cancelled, Device.
func (s *Session) Embed(ctx context.Context, images []*Image, out []float32) error { return errLater }

// EmbedFiles is Embed for files, decoded on several goroutines, a few ahead. An unreadable file is an error that names
// its row; out is then unspecified.
func (s *Session) EmbedFiles(ctx context.Context, paths []string, out []float32) error { return errLater }

// GridSize is the size of the attention map for an image taken whole, its shorter side at InputSize.
func (s *Session) GridSize(img *Image) (height, width int, err error) { return 0, 0, errLater }

// Heatmap writes the attention in [0, 1]: the raw grid (GridSize) and the map in the original's pixels
// (OriginalSize); either may be nil. Errors: Unsupported for a model without attention, BufferTooSmall, Cancelled.
func (s *Session) Heatmap(ctx context.Context, img *Image, grid, heatmap []float32) error { return errLater }

// Explanation says why two images are similar: Σ GridA + BiasA = Σ MapA + BiasA = Similarity, and likewise for B.
// Slices are the caller's; nil ones are left out.
type Explanation struct {
	GridA, GridB []float32 // GridSize of each image
	MapA, MapB   []float32 // OriginalSize of each image
	Similarity   float64   // cosine, of the whole embedding or of one learner's part
	BiasA, BiasB float64
}

// AllLearners asks ExplainPair for the whole embedding.
const AllLearners = -1

// ExplainPair fills ex: see Explanation. learner is AllLearners or 0 to K−1.
// Errors: Invalid for the learner, BufferTooSmall, Cancelled.
func (s *Session) ExplainPair(ctx context.Context, a, b *Image, learner int, ex *Explanation) error { return errLater }

// Evaluate scores the model on a split of d ("" for all images) and returns the scores as indented JSON.
// Errors: NotFound for a split without images, Invalid for one class only, Cancelled, and those of reading images.
func (s *Session) Evaluate(ctx context.Context, d *Dataset, split string) ([]byte, error) { return nil, errLater }
