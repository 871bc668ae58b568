package dsl

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/model"
	"libdsl/lib/modelfile"
)

// Model is a trained model: weights, learners, preprocessing, class names and card. It never changes and may be shared.
// What it holds on devices lives until it and all its sessions are closed, in any order.
type Model struct {
	net    *model.Model
	card   modelfile.Card
	closed atomic.Bool
	users  atomic.Int32 // sessions, and one until Close
}

// LoadModel reads and verifies a model file or checkpoint. Errors: NotFound, IO, Corrupt, Unsupported (newer format).
func LoadModel(path string) (*Model, error) {
	f, err := modelfile.Read(path, modelfile.Limits{})
	if err != nil {
		return nil, err
	}
	net, err := f.Model()
	if err != nil {
		return nil, err
	}
	return newModel(net, f.Card), nil
}

func newModel(net *model.Model, card modelfile.Card) *Model {
	m := &Model{net: net, card: card}
	m.users.Store(1)
	return m
}

// Close lets go of the model; it may be called twice. Sessions go on.
func (m *Model) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	return m.release()
}

// retain adds a user. Errors: Invalid when there is none any more.
func (m *Model) retain() error {
	for {
		n := m.users.Load()
		if n == 0 {
			return errs.New(errs.Invalid, "dsl: model: it is closed")
		}
		if m.users.CompareAndSwap(n, n+1) {
			return nil
		}
	}
}

func (m *Model) release() error {
	if m.users.Add(-1) == 0 {
		return m.net.Close()
	}
	return nil
}

// Save writes the model, without training state, so that a crash leaves the old file or the new one.
// Errors: NotFound for the folder, IO.
func (m *Model) Save(path string) error {
	f, err := modelfile.FromModel(m.net, m.card)
	if err != nil {
		return err
	}
	return modelfile.Write(path, f)
}

// EmbeddingDim is D, the width of an embedding; for a classification network that is C, of the unit penultimate vector.
func (m *Model) EmbeddingDim() int { return m.net.EmbeddingDim() }

// NumClasses is the number of classes that the model names; a classification network scores each.
func (m *Model) NumClasses() int { return len(m.net.ClassNames) }

// NumLearners is K.
func (m *Model) NumLearners() int { return m.net.Learners.NumLearners() }

// InputSize is the side in pixels of what the network looks at.
func (m *Model) InputSize() int { return m.net.InputSize }

// info is the JSON of Model.Info.
type info struct {
	LibraryVersion string        `json:"library_version"` // that wrote the file
	Backbone       string        `json:"backbone"`
	Stem           string        `json:"stem"`
	Attention      string        `json:"attention"`
	Head           string        `json:"head"` // embedding, classification
	EmbeddingDim   int           `json:"embedding_dim"`
	InputSize      int           `json:"input_size"`
	NumParameters  int           `json:"num_parameters"`
	Classes        []string      `json:"classes"`
	NumLearners    int           `json:"num_learners"`
	Calibrated     bool          `json:"calibrated"` // it can compute with precision int8
	Learners       []infoLearner `json:"learners"`
	Card           infoCard      `json:"card"`
}

type infoLearner struct {
	Size     int   `json:"size"`
	Subspace []int `json:"subspace"`
}

type infoCard struct {
	Created     string               `json:"created"` // RFC 3339, UTC
	DataHash    string               `json:"data_hash"`
	Splits      map[string]int64     `json:"splits"`
	Scores      map[string][]float64 `json:"scores"`
	IntendedUse string               `json:"intended_use"`
	Notes       string               `json:"notes"`
}

// Info describes the model as indented JSON: architecture, classes, learners and their subspaces, card.
func (m *Model) Info() ([]byte, error) {
	a := m.net.Arch
	d := info{LibraryVersion: m.card.LibraryVersion, Backbone: a.Backbone, Stem: a.Stem, Attention: a.Attention,
		Head: m.net.Head, EmbeddingDim: m.EmbeddingDim(), InputSize: m.net.InputSize, Classes: append([]string{}, m.net.ClassNames...), NumLearners: m.NumLearners(),
		Calibrated: m.net.Ranges != nil}
	for name, values := range m.net.Weights {
		if !strings.Contains(name, ".running_") { // statistics, not parameters
			d.NumParameters += len(values)
		}
	}
	for _, s := range m.net.Learners.Subspaces() {
		d.Learners = append(d.Learners, infoLearner{len(s), s})
	}
	d.Card = infoCard{Created: time.Unix(m.card.Created, 0).UTC().Format(time.RFC3339), DataHash: m.card.DataHash,
		Splits: map[string]int64{}, Scores: map[string][]float64{}, IntendedUse: m.card.IntendedUse, Notes: m.card.Notes}
	for _, s := range m.card.Splits {
		d.Card.Splits[s.Name] = s.Value
	}
	for _, s := range m.card.Scores {
		d.Card.Scores[s.Name] = s.Values
	}
	return indented(d)
}

// indented is JSON for people.
func indented(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "dsl: JSON")
	}
	return out, nil
}
