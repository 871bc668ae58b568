// Package network reads a network with its inputs from a folder that a Python test wrote, and trains and runs it on a backend: our half
// of the tests and benchmarks that hold us against PyTorch.
//
// A folder holds index.json, a raw little-endian float32 file NAME.f32 for each tensor in the layout of package ir, pixels.u8
// [B,H,W,3] and seed.f32, dL/de [B,D].
package network

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"

	"libdsl/lib/errs"
	"libdsl/lib/model"
)

// Index is index.json.
type Index struct {
	Backbone     string           `json:"backbone"`
	Stem         string           `json:"stem"`
	Attention    string           `json:"attention"`
	EmbeddingDim int              `json:"embedding_dim"`
	Mode         string           `json:"mode"` // of BatchNorm: frozen, batch
	Batch        int              `json:"batch"`
	Height       int              `json:"height"`
	Width        int              `json:"width"`
	Tensors      map[string][]int `json:"tensors"` // shapes by name
}

// Network is a folder's content.
type Network struct {
	Index
	Dir     string
	Arch    model.Arch
	Weights model.Weights
	Pixels  []byte
	Seed    []float32
}

// Load reads a folder. Errors: IO; Corrupt when the tensors are not those of the architecture.
func Load(dir string) (*Network, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, errs.Wrap(errs.IO, err, "network: index.json")
	}
	n := &Network{Dir: dir, Weights: model.Weights{}}
	if err := json.Unmarshal(text, &n.Index); err != nil {
		return nil, errs.Wrap(errs.Corrupt, err, "network: index.json")
	}
	if n.Mode != "frozen" && n.Mode != "batch" {
		return nil, errs.New(errs.Invalid, "network: mode: got %q, want frozen or batch", n.Mode)
	}
	n.Arch = model.Arch{Backbone: n.Backbone, Stem: n.Stem, Attention: n.Attention, EmbeddingDim: n.EmbeddingDim}
	for name := range n.Tensors {
		if n.Weights[name], err = readFloats(filepath.Join(dir, name+".f32")); err != nil {
			return nil, err
		}
	}
	if err := n.checkShapes(); err != nil {
		return nil, err
	}
	if n.Pixels, err = os.ReadFile(filepath.Join(dir, "pixels.u8")); err != nil {
		return nil, errs.Wrap(errs.IO, err, "network: pixels.u8")
	}
	n.Seed, err = readFloats(filepath.Join(dir, "seed.f32"))
	return n, err
}

// checkShapes compares the index with the architecture: names, shapes and sizes.
func (n *Network) checkShapes() error {
	if err := n.Weights.Check(n.Arch); err != nil {
		return err
	}
	tensors, err := model.Tensors(n.Arch, false)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		if !t.Shape.Equal(n.Tensors[t.Name]) {
			return errs.New(errs.Corrupt, "network: tensor %q: got shape %v, want %v", t.Name, n.Tensors[t.Name], t.Shape)
		}
	}
	return nil
}

func readFloats(path string) ([]float32, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Wrap(errs.IO, err, "network: %s", filepath.Base(path))
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}

// WriteFloats writes a raw little-endian float32 file, and the folders that lead to it.
func WriteFloats(path string, values []float32) error {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return errs.Wrap(errs.IO, err, "network: %s", filepath.Base(path))
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return errs.Wrap(errs.IO, err, "network: %s", filepath.Base(path))
	}
	return nil
}
