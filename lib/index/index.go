// Package index finds the nearest rows of a gallery of embeddings, exactly.
//
// A gallery holds unit rows with an id each, and a label and a group where they are known. Queries may restrict the comparison to one learner's
// subspace and leave out rows of their own id or group. Similarity is the cosine. Results do not depend on threads, device or on the order in
// which rows were added but for ties, which the row that was added first wins.
//
// The package knows rows and names, no images and no networks. It holds the identity of the model that made the rows, so that nobody compares
// them with those of another.
package index

import (
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/learner"
)

// N rows, D dimension of a row, K learners, Q queries.

const (
	maxRows      = math.MaxInt32 // rows are int32 to devices
	maxDim       = 1 << 16
	maxTextBytes = 1023 // of an id or a group; C hands them out in buffers of 1024
)

// NoLabel stands for a row whose class is not known.
const NoLabel = -1

// Options of an index.
type Options struct {
	Dim      int          // D, 1 to 65536
	Learners *learner.Set // of the D neurons; nil for embeddings without learners
	Model    string       // identity of the model that makes the embeddings (model.Identity), "" for none
}

// Index is a gallery. Searches may run at a time; adding waits for them and they for it.
type Index struct {
	opt Options

	mu     sync.RWMutex
	rows   []float32 // [N, D], of unit length
	ids    IDs
	labels []int64
	groups []string

	parts parts // what searches need of rows, made when it is first needed
}

// New is an empty index. Errors: errs.Invalid for a dimension out of range or learners of another one.
func New(o Options) (*Index, error) {
	if o.Dim < 1 || o.Dim > maxDim {
		return nil, errs.New(errs.Invalid, "index: embedding_dim: got %d, want 1 to %d", o.Dim, maxDim)
	}
	if o.Learners != nil && o.Learners.Dim() != o.Dim {
		return nil, errs.New(errs.Invalid, "index: got learners of %d neurons, want %d", o.Learners.Dim(), o.Dim)
	}
	return &Index{opt: o}, nil
}

// Dim is D.
func (x *Index) Dim() int { return x.opt.Dim }

// NumLearners is K; 0 for embeddings without learners.
func (x *Index) NumLearners() int {
	if x.opt.Learners == nil {
		return 0
	}
	return x.opt.Learners.NumLearners()
}

// Model is the identity of the model that makes the embeddings, "" for none.
func (x *Index) Model() string { return x.opt.Model }

// CheckModel sees that embeddings of the model of that identity can be compared with the index's. Errors: errs.Invalid.
func (x *Index) CheckModel(identity string) error {
	if identity != x.opt.Model {
		return errs.New(errs.Invalid, "index: got embeddings of model %s, want those of %s, which made the gallery", short(identity), short(x.opt.Model))
	}
	return nil
}

func short(identity string) string {
	if identity == "" {
		return "(unnamed)"
	}
	return identity[:min(len(identity), 12)] + "…"
}

// Len is the number of rows.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.labels)
}

// Items are rows to add.
type Items struct {
	Embeddings []float32 // [n, D]; brought to unit length
	IDs        IDs       // of n rows; none at all: the rows' numbers. An id may come more than once
	Labels     []int64   // [n], ≥ 0 or NoLabel; nil for none
	Groups     []string  // [n], "" for none; nil for none
}

// Add appends rows. Ids are all texts or all numbers, as those before. Errors: errs.Invalid for shapes that disagree, a row that is zero or not
// finite, an id of the other kind, a text that is not UTF-8 or longer than 1023 bytes; then nothing is added.
func (x *Index) Add(it Items) error {
	if len(it.Embeddings) == 0 {
		return it.check(0)
	}
	rows, err := unit(it.Embeddings, x.opt.Dim)
	if err != nil {
		return err
	}
	n := len(rows) / x.opt.Dim
	if err := it.check(n); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.labels) > maxRows-n {
		return errs.New(errs.Unsupported, "index: got %d rows beside %d, want at most %d", n, len(x.labels), maxRows)
	}
	if it.IDs.Len() == 0 {
		it.IDs = numbered(len(x.labels), n)
	}
	if len(x.labels) > 0 && (x.ids.Texts == nil) != (it.IDs.Texts == nil) {
		return errs.New(errs.Invalid, "index: ids: got texts and numbers, want one kind in a gallery")
	}
	if err := x.parts.forget(); err != nil {
		return err
	}
	x.rows = append(x.rows, rows...)
	x.ids.Texts, x.ids.Numbers = append(x.ids.Texts, it.IDs.Texts...), append(x.ids.Numbers, it.IDs.Numbers...)
	x.labels = append(x.labels, orElse(it.Labels, n, NoLabel)...)
	x.groups = append(x.groups, orElse(it.Groups, n, "")...)
	return nil
}

// Close frees what searches hold on devices, after those that run; the index can still be used.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.parts.forget()
}

func orElse[T any](values []T, n int, missing T) []T {
	if values == nil {
		return slices.Repeat([]T{missing}, n)
	}
	return values
}

func (it *Items) check(n int) error {
	if err := it.IDs.check(n); err != nil {
		return err
	}
	if it.Labels != nil && len(it.Labels) != n || it.Groups != nil && len(it.Groups) != n {
		return errs.New(errs.Invalid, "index: got %d labels and %d groups for %d rows, want as many or none", len(it.Labels), len(it.Groups), n)
	}
	for i, l := range it.Labels {
		if l < NoLabel {
			return errs.New(errs.Invalid, "index: row %d: got label %d, want 0 or more, or %d for none", i, l, NoLabel)
		}
	}
	return checkTexts("group", it.Groups)
}

// unit copies rows [n, dim] with length 1. Errors: errs.Invalid for rows that are not whole, not finite or zero.
func unit(rows []float32, dim int) ([]float32, error) {
	if err := distance.CheckRows("index", rows, dim); err != nil {
		return nil, err
	}
	out := make([]float32, len(rows))
	for at := 0; at < len(rows); at += dim {
		var sum float64
		for _, v := range rows[at : at+dim] {
			sum += float64(v) * float64(v)
		}
		if sum == 0 {
			return nil, errs.New(errs.Invalid, "index: row %d: got zeros, which are similar to nothing", at/dim)
		}
		scale := 1 / math.Sqrt(sum)
		for j, v := range rows[at : at+dim] {
			out[at+j] = float32(float64(v) * scale)
		}
	}
	return out, nil
}

func checkTexts(what string, texts []string) error {
	for i, s := range texts {
		if len(s) > maxTextBytes || !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return errs.New(errs.Invalid, "index: row %d: %s: got %d bytes, want at most %d of UTF-8 without NUL", i, what, len(s), maxTextBytes)
		}
	}
	return nil
}
