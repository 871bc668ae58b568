// Package cuda is the backend for NVIDIA GPUs: cuDNN's convolutions, cuBLAS's matrix products, and kernels of its own for the rest.
//
// Activations are kept dense, NHWC, in the precision's element type (float32 or bfloat16); parameters, their gradients, the optimiser's state and
// matrices are float32. Each phase of a program is captured once as a CUDA graph and then launched as one piece. Given the device and the kernels that
// were chosen, results are the same bits in every run, unless the executor's options allow kernels that are not deterministic.
//
// CUDA's context belongs to an operating-system thread, so an executor is a thread of its own with a stream, and stores are read and written on one
// thread per device. Nothing is left current on a caller's thread.
package cuda

import (
	"fmt"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

func init() { backend.Register("cuda", Open) }

// Backend is one GPU in one precision.
type Backend struct {
	device    *device
	precision backend.Precision
}

// Open finds the driver and its libraries and opens a GPU; Auto is bfloat16 where the GPU multiplies it (compute capability 8.0), else float32.
// Errors: Device with the reason and what to do; Unsupported for bfloat16 on an older GPU, and for int8.
func Open(d backend.Device) (backend.Backend, error) {
	if d.Precision == backend.I8 { // before a driver is looked for
		return nil, errs.New(errs.Unsupported, "cuda: int8 computes on the CPU only; use device \"cpu\"")
	}
	dev, err := openDevice(d.Ordinal)
	if err != nil {
		return nil, err
	}
	multiplies := dev.props.Major >= 8
	switch {
	case d.Precision == backend.Auto && multiplies:
		d.Precision = backend.BF16
	case d.Precision == backend.Auto:
		d.Precision = backend.F32
	case d.Precision > backend.F32 && !multiplies:
		return nil, errs.New(errs.Unsupported, "cuda: %s (compute capability %d.%d) computes in float32 only; use precision \"f32\"",
			dev.props.Name, dev.props.Major, dev.props.Minor)
	}
	return Backend{dev, d.Precision}, nil
}

// Name is "cuda".
func (Backend) Name() string { return "cuda" }

// Device is the GPU's number and the precision.
func (b Backend) Device() string {
	return fmt.Sprintf("cuda:%d, %s", b.device.ordinal, map[backend.Precision]string{backend.F32: "f32", backend.TF32: "tf32", backend.BF16: "bf16"}[b.precision])
}

// Environment is the GPU, the driver and NVIDIA's libraries.
func (b Backend) Environment() string { return b.device.env }

// PlanOptions say how large tensors are. A plan without epilogue writes a convolution's output before the residual is read, so not over it.
func (b Backend) PlanOptions() plan.Options { return plan.Options{Bytes: b.bytes} }

// Batches: 32 images of 224×224, 128 of 64×64, and each Forward is waited for. A guess: no GPU was at hand.
func (Backend) Batches() backend.Batches { return backend.Batches{Pixels: 1 << 22, Padded: true} }

// bytes is the size of an activation in the precision's type, its images padded to full groups of channels; all else is dense.
func (b Backend) bytes(maker *ir.Step, t *ir.Tensor) int64 {
	if !activation(maker.Kind, t) || maker.Kind == ir.Add { // which may add gradients of weights
		return plan.Dense(t)
	}
	c := int64(t.Shape[3])
	return plan.Dense(t) / 4 / max(c, 1) * int64(b.padded(t.Shape[3])) * b.elementBytes()
}

// activation reports whether a step's output is kept in the precision's type: feature maps, and the weights that convolutions read.
func activation(maker ir.Kind, t *ir.Tensor) bool {
	return len(t.Shape) == 4 && t.DType == ir.F32 && maker != ir.ConvGradWeights && maker != ir.ScaleWeightsGrad
}

// imageChannels is what 3 channels are padded to for the convolution that reads the image: cuDNN's bfloat16 kernels want groups of 8.
const imageChannels = 8

func (b Backend) padded(channels int) int {
	if b.precision == backend.BF16 && channels == 3 {
		return imageChannels
	}
	return channels
}

func (b Backend) elementBytes() int64 {
	if b.precision == backend.BF16 {
		return 2
	}
	return 4
}

func (b Backend) convType() nvlib.Type {
	if b.precision == backend.BF16 {
		return nvlib.BF16
	}
	return nvlib.F32
}

// suffix is the ending of the names of kernels for the precision's type.
func (b Backend) suffix() string {
	if b.precision == backend.BF16 {
		return "_bf16"
	}
	return "_f32"
}
