package cuda

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"

	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
)

// choice is a convolution and the name of its kernel.
type choice struct {
	Conv   nvlib.Conv `json:"conv"`
	Kernel string     `json:"kernel"`
}

// What Choices may hold: far more than a network has convolutions, and longer names than cuDNN gives.
const (
	maxChoices     = 1 << 14
	maxKernelBytes = 1 << 10
)

// Choices are the kernels that this process has chosen on the device, as JSON.
func (b Backend) Choices() ([]byte, error) {
	d := b.device
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := [][]byte{}
	for c, kernel := range d.tuned {
		line, err := json.Marshal(choice{c, kernel})
		if err != nil {
			return nil, errs.Wrap(errs.Internal, err, "cuda: choices")
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, bytes.Compare)
	return append(append([]byte{'['}, bytes.Join(lines, []byte{','})...), ']'), nil
}

// SetChoices makes them this process's choices. A kernel that this cuDNN does not have is chosen anew.
func (b Backend) SetChoices(choices []byte) error {
	var all []choice
	in := json.NewDecoder(bytes.NewReader(choices))
	in.DisallowUnknownFields()
	if err := in.Decode(&all); err != nil {
		return errs.Wrap(errs.Corrupt, err, "cuda: choices of kernels")
	}
	if _, err := in.Token(); err != io.EOF {
		return errs.New(errs.Corrupt, "cuda: choices of kernels: got more behind their end")
	}
	if len(all) > maxChoices {
		return errs.New(errs.Corrupt, "cuda: choices of kernels: got %d, want at most %d", len(all), maxChoices)
	}
	for _, c := range all {
		if err := c.Conv.Check(); err != nil || c.Kernel == "" || len(c.Kernel) > maxKernelBytes {
			return errs.New(errs.Corrupt, "cuda: choices of kernels: got %+v", c)
		}
	}
	d := b.device
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range all {
		if have := d.tuned[c.Conv]; have != "" && have != c.Kernel {
			return errs.New(errs.Invalid, "cuda: this process computes a convolution with kernel %q, want %q", have, c.Kernel)
		}
	}
	for _, c := range all {
		d.tuned[c.Conv] = c.Kernel
	}
	return nil
}
