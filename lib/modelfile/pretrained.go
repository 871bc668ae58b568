package modelfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/model"
)

// ReadPretrained reads the weights that a training may start from, out of a .dsl file (backbone and attention) or a .safetensors file with
// the state dict of a ResNet in torchvision's names (the backbone). The file's first bytes tell which, not its name.
//
// Of a state dict, the tensors of conv1, bn1 and layer1 to layer3 must be exactly those of ResNet-18, -34 or -50, F32, F16, BF16 or F64; which network it is
// follows from them. All may have one prefix, such as "module." or "backbone.". The rest (layer4, fc, num_batches_tracked) is not read.
// Memory is bounded by the architecture. limits are for .dsl files.
//
// Errors: errs.NotFound; errs.IO; errs.Corrupt for a damaged file or numbers that are not finite; errs.Invalid when there is no such network in it,
// naming the first tensor that is missing or of another shape; errs.Unsupported for a deep stem and other types of elements; errs.OutOfMemory.
func ReadPretrained(path string, limits Limits) (*model.Pretrained, error) {
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	first := make([]byte, min(int64(len(magic))+1, size))
	if _, err := f.ReadAt(first, 0); err != nil {
		return nil, ioError(path, "cannot read it", err)
	}
	if strings.HasPrefix(string(first), magic) {
		return readModelWeights(path, limits)
	}
	if len(first) <= foreignSizeBytes || first[foreignSizeBytes] != '{' {
		return nil, refused(filepath.Base(path), notWeights(first))
	}
	digest := sha256.New()
	p, err := importBackbone(io.TeeReader(f, digest), uint64(size))
	if err != nil {
		return nil, foreignError(path, err)
	}
	p.Hash = hex.EncodeToString(digest.Sum(nil))
	return p, nil
}

func notWeights(first []byte) error {
	hint := ""
	if strings.HasPrefix(string(first), "PK\x03\x04") || strings.HasPrefix(string(first), "\x80\x02") {
		hint = "; it may be a file of PyTorch, which dsl.convert_weights in Python turns into a .safetensors file"
	}
	return fmt.Errorf("neither a .dsl nor a .safetensors file: got the first bytes % x%s", first, hint)
}

func readModelWeights(path string, limits Limits) (*model.Pretrained, error) {
	digest := sha256.New()
	var file *File
	err := withFrame(path, limits, func(h *header, frame []byte) (err error) {
		digest.Write(h.encode()) // all of its bits are checked, so these are the file's
		digest.Write(frame)
		file, err = decode(filepath.Base(path), h, frame)
		return err
	})
	if err != nil {
		return nil, err
	}
	m, err := file.Model()
	if err != nil {
		return nil, err
	}
	p := m.Pretrained()
	p.Hash = hex.EncodeToString(digest.Sum(nil))
	return p, nil
}

// foreignError names the file and gives plain errors their kind.
func foreignError(path string, err error) error {
	var pathErr *os.PathError
	var known *errs.Error
	switch {
	case errors.As(err, &pathErr):
		return ioError(path, "cannot read it", err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return errs.New(errs.IO, "%s: it became shorter while it was read", subject(filepath.Base(path)))
	case errors.As(err, &known):
		return errs.Wrap(known.Kind, err, "%s", subject(filepath.Base(path)))
	}
	return refused(filepath.Base(path), err)
}

// importBackbone reads a .safetensors file of size bytes to its end.
func importBackbone(r io.Reader, size uint64) (*model.Pretrained, error) {
	tensors, err := readForeignHeader(r, size)
	if err != nil {
		return nil, err
	}
	b, err := findBackbone(tensors)
	if err != nil {
		return nil, err
	}
	p := &model.Pretrained{Arch: model.Arch{Backbone: b.name}, Weights: model.Weights{}}
	for i := range tensors {
		t := &tensors[i]
		name, wanted := b.wanted(t)
		if !wanted {
			if _, err := io.CopyN(io.Discard, r, int64(t.end-t.begin)); err != nil {
				return nil, err
			}
			continue
		}
		v, err := t.read(r)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, ".running_var") {
			if err := checkVariances(t.name, v); err != nil {
				return nil, err
			}
		}
		p.Weights[name] = fromTorch(v, t.shape)
	}
	return p, nil
}

// checkVariances lets single zeros pass: half floats make them of a dead channel's tiny variance, and ε keeps BatchNorm from dividing by them.
func checkVariances(name string, v []float32) error {
	most := float32(0)
	for i, x := range v {
		if x < 0 {
			return fmt.Errorf("tensor %q: got %v at %d, want variances of 0 or more", name, x, i)
		}
		most = max(most, x)
	}
	if most == 0 {
		return fmt.Errorf("tensor %q: got zeros only, want the variances of a trained network", name)
	}
	return nil
}

// fromTorch brings convolutions from torch's [K,C,R,S] into ours, [K,R,S,C]; other tensors stay.
func fromTorch(v []float32, shape []uint64) []float32 {
	if len(shape) != 4 {
		return v
	}
	c, area := int(shape[1]), int(shape[2]*shape[3])
	out := make([]float32, len(v))
	for k := 0; k < len(v); k += c * area {
		for i := range c {
			for p := range area {
				out[k+p*c+i] = v[k+i*area+p]
			}
		}
	}
	return out
}
