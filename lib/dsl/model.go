package dsl

// Model is a trained model: weights, learners, preprocessing, class names and card. It never changes and may be shared.
type Model struct{}

// LoadModel reads and verifies a model file or checkpoint. Errors: NotFound, IO, Corrupt, Unsupported (newer format).
func LoadModel(path string) (*Model, error) { return nil, errLater }

// Save writes the model, without training state, so that a crash leaves the old file or the new one. Errors: IO, NotFound.
func (m *Model) Save(path string) error { return errLater }

// EmbeddingDim is D, NumLearners K, InputSize the side in pixels of what the network looks at.
func (m *Model) EmbeddingDim() int { return 0 }

// NumLearners is K.
func (m *Model) NumLearners() int { return 0 }

// InputSize is the side in pixels of what the network looks at.
func (m *Model) InputSize() int { return 0 }

// Info describes the model as indented JSON: see Info.
func (m *Model) Info() ([]byte, error) { return nil, errLater }

// Info is what Model.Info writes.
type Info struct {
	LibraryVersion string      `json:"library_version"`
	Backbone       string      `json:"backbone"`
	Stem           string      `json:"stem"`
	Attention      string      `json:"attention"`
	EmbeddingDim   int         `json:"embedding_dim"`
	InputSize      int         `json:"input_size"`
	NumParameters  int64       `json:"num_parameters"`
	Classes        []string    `json:"classes"`
	Learners       []InfoGroup `json:"learners"`
	Card           any         `json:"card"`
}

// InfoGroup is one learner: how many neurons, and which.
type InfoGroup struct {
	Size     int   `json:"size"`
	Subspace []int `json:"subspace"`
}
