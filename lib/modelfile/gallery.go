package modelfile

import (
	"fmt"
	"path/filepath"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/modelfile/internal/fb"
)

// Gallery is the content of an index file. Which tensors it has is the index's to state; they may be of any type.
type Gallery struct {
	Model    string    // identity of the model that made the embeddings, hexadecimal digits, or empty
	Learners [][]int32 // the embedding neurons of each learner; empty for none
	Tensors  []Tensor

	source string // base name of the file it came from, for messages
}

// Source names the gallery's file in messages.
func (g *Gallery) Source() string { return subject(g.source) }

func (g *Gallery) check() error {
	if err := checkText("model", g.Model, 0, maxNameBytes); err != nil {
		return err
	}
	if strings.Trim(g.Model, "0123456789abcdef") != "" {
		return fmt.Errorf("model: got %.20q, want lower-case hexadecimal digits", g.Model)
	}
	return checkTensors(g.Tensors, true)
}

// WriteGallery writes g to path as Write writes a model. Errors: as Write.
func WriteGallery(path string, g *Gallery) error {
	data, err := encodeGallery(g)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

func encodeGallery(g *Gallery) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "modelfile")
	}
	size := roughTensors(g.Tensors) + 1<<12
	for _, neurons := range g.Learners {
		size += uint64(4*len(neurons)) + 64
	}
	if size > maxBody-(1<<20) {
		return nil, errs.New(errs.Unsupported, "modelfile: gallery: got %d bytes, want less than 2 GiB", size)
	}
	body := buildGallery(g, int(size))
	if err := verifyBody(body, galleryLayout); err != nil { // too many objects
		return nil, errs.Wrap(errs.Invalid, err, "modelfile")
	}
	return pack(version1, kindGallery, body)
}

// ReadGallery reads and checks an index file. What its tensors mean is the caller's to check.
// Errors: as Read; errs.Invalid for a model.
func ReadGallery(path string, limits Limits) (*Gallery, error) {
	var g *Gallery
	err := withFrame(path, limits, func(h *header, frame []byte) (err error) {
		if g, err = decodeGallery(h, frame); err != nil {
			return refused(filepath.Base(path), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	g.source = filepath.Base(path)
	return g, nil
}

func decodeGallery(h *header, frame []byte) (g *Gallery, err error) {
	defer errs.Recover(&err) // a last belt; the fuzz target goes round it
	if h.kind != kindGallery {
		return nil, errs.New(errs.Invalid, "got a model, want the gallery of an index")
	}
	err = unpack(h, frame, func(body []byte) (err error) {
		g, err = parseGallery(body)
		return err
	})
	return g, err
}

// parseGallery makes a Gallery of untrusted bytes.
func parseGallery(body []byte) (*Gallery, error) {
	if err := verifyBody(body, galleryLayout); err != nil {
		return nil, err
	}
	m := fb.GetRootAsGallery(body, 0)
	g := &Gallery{Model: string(m.Model()), Learners: list(m.LearnersLength(), func(i int) []int32 { return decodeLearner(m.Learners, i) })}
	var err error
	if g.Tensors, err = decodeTensors(m.TensorsLength(), m.Tensors); err != nil {
		return nil, err
	}
	return g, g.check()
}

func buildGallery(g *Gallery, size int) []byte {
	w := newWriter(size)
	model := w.CreateString(g.Model)
	learners := vector(w, g.Learners, w.learner)
	tensors := vector(w, g.Tensors, w.tensor)
	fb.GalleryStart(w.Builder)
	fb.GalleryAddModel(w.Builder, model)
	fb.GalleryAddLearners(w.Builder, learners)
	fb.GalleryAddTensors(w.Builder, tensors)
	w.FinishWithFileIdentifier(fb.GalleryEnd(w.Builder), []byte(fileIdentifier))
	return w.FinishedBytes()
}
