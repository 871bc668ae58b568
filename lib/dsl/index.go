package dsl

import (
	"context"

	"libdsl/lib/errs"
	"libdsl/lib/index"
	"libdsl/lib/model"
)

// Index finds the nearest embeddings of a gallery. Searches may run at a time.
type Index struct{ *index.Index }

// IDs name rows, by texts or by numbers.
type IDs = index.IDs

// Items are rows to add to an index.
type Items = index.Items

// Item is what an index knows of a row.
type Item = index.Item

// NewIndex is an empty index of the embeddings of a model, or, with m nil, of rows of dim numbers from anywhere. dim may be 0 with a model.
// Errors: Invalid.
func NewIndex(m *Model, dim int) (*Index, error) {
	o := index.Options{Dim: dim}
	if m != nil {
		if dim != 0 && dim != m.EmbeddingDim() {
			return nil, errs.New(errs.Invalid, "dsl: index: got embedding_dim %d, want the model's %d, or 0", dim, m.EmbeddingDim())
		}
		o = index.Options{Dim: m.EmbeddingDim(), Model: m.net.Identity()}
		if m.net.Head == model.EmbeddingHead { // the learner of a classification network is of class scores
			o.Learners = m.net.Learners
		}
	}
	x, err := index.New(o)
	if err != nil {
		return nil, err
	}
	return &Index{x}, nil
}

// LoadIndex reads and verifies an index. With m, it must hold embeddings of that model.
// Errors: NotFound, IO, Corrupt, Unsupported; Invalid for a model file or for embeddings of another model.
func LoadIndex(path string, m *Model) (*Index, error) {
	x, err := index.Read(path)
	if err != nil {
		return nil, err
	}
	if m != nil {
		if err := x.CheckModel(m.net.Identity()); err != nil {
			return nil, err
		}
	}
	return &Index{x}, nil
}

// CheckModel sees that the index holds embeddings of this model. Errors: Invalid.
func (x *Index) CheckModel(m *Model) error { return x.Index.CheckModel(m.net.Identity()) }

// indexInfo is the JSON of Index.Info.
type indexInfo struct {
	Size         int    `json:"size"`
	EmbeddingDim int    `json:"embedding_dim"`
	NumLearners  int    `json:"num_learners"` // 0: of no model
	Model        string `json:"model"`        // identity of the model, "" for none
	IDs          string `json:"ids"`          // "text", "number"
}

// Info describes the index as indented JSON.
func (x *Index) Info() ([]byte, error) {
	d := indexInfo{Size: x.Len(), EmbeddingDim: x.Dim(), NumLearners: x.NumLearners(), Model: x.Model(), IDs: "number"}
	if x.TextIDs() {
		d.IDs = "text"
	}
	return indented(d)
}

// SearchOptions say what to look for and where; the zero value compares whole embeddings with all rows.
type SearchOptions struct {
	Learner *int     // nil: the whole embedding
	IDs     IDs      // of the queries: rows with a query's id are left out
	Groups  []string // of the queries: rows of a query's group are left out
	Threads int
	Device  string // as in SessionOptions; a GPU finds candidates for big searches, with the CPU's results
}

// Search writes the k most similar rows of each query, [Q, k], the most similar first, to rows, and their cosines to similarities; rows -1 with
// similarity -Inf where fewer are left. Errors: BufferTooSmall, those of index.Search; Device when a GPU that was asked for cannot be used.
func (x *Index) Search(ctx context.Context, queries []float32, k int, o SearchOptions, rows []int64, similarities []float32) error {
	if err := checkThreads(o.Threads); err != nil {
		return err
	}
	if n := len(queries) / x.Dim(); k > 0 && (n > len(rows)/k || n > len(similarities)/k) {
		return errs.New(errs.BufferTooSmall, "dsl: search: got room for %d rows and %d similarities, want [%d, %d]", len(rows), len(similarities), n, k)
	}
	s := index.Search{K: k, Learner: index.AllLearners, IDs: o.IDs, Groups: o.Groups, Threads: threads(o.Threads)}
	if o.Learner != nil {
		s.Learner = *o.Learner
		if s.Learner < 0 {
			return errs.New(errs.Invalid, "dsl: search: got learner %d, want 0 or more", s.Learner)
		}
	}
	var err error
	if s.Device, err = arraysOn(o.Device, float64(len(queries))*float64(x.Len())); err != nil {
		return err
	}
	found, err := x.Index.Search(ctx, queries, s)
	if err != nil {
		return err
	}
	copy(rows, found.Rows)
	copy(similarities, found.Similarities)
	return nil
}
