package modelfile

import (
	"fmt"
	"math"
	"slices"

	"libdsl/lib/errs"
	"libdsl/lib/modelfile/internal/fb"
)

// Expect checks that f has exactly the tensors of specs, in any order, each with its exact shape. All of f's tensors
// are float32, so after it Values[float32] finds every one of specs.
// Errors: errs.Corrupt, naming the first tensor that is missing, has another shape, or is not expected.
func (f *File) Expect(specs []TensorSpec) error {
	have := make(map[string]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		have[f.Tensors[i].Name] = &f.Tensors[i]
	}
	for _, spec := range specs {
		t := have[spec.Name]
		if t == nil {
			return refused(f.source, fmt.Errorf("tensor %q is missing: got none, want shape %v", spec.Name, spec.Shape))
		}
		if !slices.Equal(t.Shape, spec.Shape) {
			return refused(f.source, fmt.Errorf("tensor %q: got shape %v, want %v", spec.Name, t.Shape, spec.Shape))
		}
		delete(have, spec.Name)
	}
	for i := range f.Tensors {
		if name := f.Tensors[i].Name; have[name] != nil {
			return refused(f.source, fmt.Errorf("tensor %q is not of this architecture: got shape %v, want none", name, have[name].Shape))
		}
	}
	return nil
}

// Values is the data of the tensor called name, without a copy.
// Errors: errs.Corrupt when there is none or when it holds another type than T.
func Values[T Element](tensors []Tensor, name string) ([]T, error) {
	for i := range tensors {
		if tensors[i].Name != name {
			continue
		}
		data, ok := tensors[i].Data.([]T)
		if !ok {
			return nil, errs.New(errs.Corrupt, "modelfile: tensor %q: got %T, want %T", name, tensors[i].Data, data)
		}
		return data, nil
	}
	return nil, errs.New(errs.Corrupt, "modelfile: tensor %q is missing", name)
}

// Int is the counter called name. Errors: errs.Corrupt when there is none.
func (c *Checkpoint) Int(name string) (int64, error) {
	i := slices.IndexFunc(c.Ints, func(v NamedInt) bool { return v.Name == name })
	if i < 0 {
		return 0, errs.New(errs.Corrupt, "modelfile: checkpoint int %q is missing", name)
	}
	return c.Ints[i].Value, nil
}

// Float is the number called name. Errors: errs.Corrupt when there is none.
func (c *Checkpoint) Float(name string) (float64, error) {
	i := slices.IndexFunc(c.Floats, func(v NamedFloat) bool { return v.Name == name })
	if i < 0 {
		return 0, errs.New(errs.Corrupt, "modelfile: checkpoint float %q is missing", name)
	}
	return c.Floats[i].Value, nil
}

// Blob is the bytes called name, without a copy. Errors: errs.Corrupt when there are none.
func (c *Checkpoint) Blob(name string) ([]byte, error) {
	i := slices.IndexFunc(c.Blobs, func(v NamedBlob) bool { return v.Name == name })
	if i < 0 {
		return nil, errs.New(errs.Corrupt, "modelfile: checkpoint blob %q is missing", name)
	}
	return c.Blobs[i].Data, nil
}

func checkTensors(tensors []Tensor, checkpoint bool) error {
	if err := checkNames("tensor", tensors, func(t Tensor) string { return t.Name }); err != nil {
		return err
	}
	for i := range tensors {
		t := &tensors[i]
		dtype, n, ok := t.dataType()
		if !ok || (!checkpoint && dtype != fb.DTypeF32) {
			return fmt.Errorf("tensor %q: got elements of type %T, want %s", t.Name, t.Data,
				map[bool]string{false: "[]float32", true: "[]float32, []int32, []uint8, []int64 or []float64"}[checkpoint])
		}
		want, err := numElements(t.Shape, checkpoint)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if uint64(n) != want {
			return fmt.Errorf("tensor %q: got %d elements, want %d for shape %v", t.Name, n, want, t.Shape)
		}
		if data, ok := t.Data.([]float32); ok {
			if j := firstNonFinite(data); j >= 0 {
				return fmt.Errorf("tensor %q: got %v at %d, want finite numbers", t.Name, data[j], j)
			}
		}
	}
	return nil
}

// dataType is the type and number of t's elements; false when Data is none of the five slices.
func (t *Tensor) dataType() (fb.DType, int, bool) {
	switch d := t.Data.(type) {
	case []float32:
		return fb.DTypeF32, len(d), true
	case []int32:
		return fb.DTypeI32, len(d), true
	case []uint8:
		return fb.DTypeU8, len(d), true
	case []int64:
		return fb.DTypeI64, len(d), true
	case []float64:
		return fb.DTypeF64, len(d), true
	}
	return 0, 0, false
}

// numElements is the product of shape, which stays below 2^31 (a body's bytes), so that no multiplication overflows.
func numElements(shape []int32, emptyAllowed bool) (uint64, error) {
	if len(shape) < 1 || len(shape) > maxTensorRank {
		return 0, fmt.Errorf("got %d dimensions, want 1 to %d", len(shape), maxTensorRank)
	}
	if emptyAllowed && len(shape) == 1 && shape[0] == 0 {
		return 0, nil
	}
	n := uint64(1)
	for _, dim := range shape {
		if dim < 1 {
			return 0, fmt.Errorf("got shape %v, want dimensions of at least 1", shape)
		}
		if n *= uint64(dim); n > maxBody {
			return 0, fmt.Errorf("got shape %v, want at most %d elements", shape, maxBody)
		}
	}
	return n, nil
}

// firstNonFinite is the index of the first NaN or infinity, whose exponent bits are all ones, or -1.
func firstNonFinite(data []float32) int {
	const exponent = 0x7f800000
	for i, v := range data {
		if math.Float32bits(v)&exponent == exponent {
			return i
		}
	}
	return -1
}
