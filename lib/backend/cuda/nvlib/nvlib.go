// Package nvlib runs NVIDIA's libraries: cuDNN 9's convolutions, through its graph API, and cuBLAS's matrix products.
//
// Both are opened at run time (Open says where they are looked for), so that libdsl loads where they are not. Handles belong to an executor's
// thread, on which CUDA's context must be current, and queue their work into its stream; nothing here waits for the device, and the device's
// memory is the caller's. Feature maps are dense NHWC, weights dense KRSC.
package nvlib

// #cgo CFLAGS: -std=gnu11 -O2 -Wall -Wextra -fvisibility=hidden
// #cgo LDFLAGS: -ldl
// #include "nvlib.h"
import "C"

import (
	"libdsl/lib/errs"
)

// Type is the type of a convolution's elements. Sums are float32 in both.
type Type uint8

// The types.
const (
	F32 Type = iota
	BF16
)

// Op is a convolution or one of its gradients.
type Op uint8

// The operations. What is called X, W and Y is the gradient of it where the operation computes or reads that.
const (
	Forward     Op = iota // Y = X ∗ W
	GradData              // X from W and Y
	GradWeights           // W from X and Y
)

// Conv is a convolution of N images of H×W×C elements with K square kernels, and how it may be computed. All operands have its type, W in
// GradWeights too, but a bias, which is float32.
type Conv struct {
	Op                  Op
	Type                Type
	N, H, W, C          int
	K                   int
	Kernel, Stride, Pad int
	TF32                bool // F32 may be multiplied with 10 bits of mantissa
	Deterministic       bool // the same bits in every run
	// Forward alone may go on in one kernel: Y = relu(X ∗ W + residual + bias), without what is false.
	Bias, Residual, ReLU bool
}

// Operands are addresses of device memory. A convolution takes X, W and Y, and what is fused with it. Forward writes Y, GradData X and GradWeights W;
// a residual may lie where Y lies.
type Operands struct{ X, W, Y, Bias, Residual uint64 }

// Check reports sizes that no convolution has. Errors: Invalid.
func (c Conv) Check() error {
	out := func(n int) int { return n + 2*c.Pad - c.Kernel }
	switch {
	case min(c.N, c.H, c.W, c.C, c.K, c.Kernel, c.Stride) < 1 || c.Pad < 0 || c.Op > GradWeights || c.Type > BF16:
		return errs.New(errs.Invalid, "nvlib: convolution %+v: sizes must be at least 1, padding at least 0", c)
	case out(c.H) < 0 || out(c.W) < 0:
		return errs.New(errs.Invalid, "nvlib: convolution: a kernel of %d does not fit into %d×%d with padding %d", c.Kernel, c.H, c.W, c.Pad)
	case c.Op != Forward && (c.Bias || c.Residual || c.ReLU):
		return errs.New(errs.Invalid, "nvlib: convolution: only the forward pass can be fused with bias, residual or ReLU")
	}
	return nil
}

func (c Conv) native() C.nvlib_conv {
	return C.nvlib_conv{
		op: C.int(c.Op), _type: C.int(c.Type),
		n: C.int64_t(c.N), h: C.int64_t(c.H), w: C.int64_t(c.W), c: C.int64_t(c.C), k: C.int64_t(c.K),
		kernel: C.int64_t(c.Kernel), stride: C.int64_t(c.Stride), pad: C.int64_t(c.Pad),
		tf32: flag(c.TF32), deterministic: flag(c.Deterministic), bias: flag(c.Bias), residual: flag(c.Residual), relu: flag(c.ReLU),
	}
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// failure makes an error of what a C call says.
func failure(p *C.nvlib_problem) error {
	kind := errs.Device
	if p.memory != 0 {
		kind = errs.OutOfMemory
	}
	return errs.New(kind, "%s", C.GoString(&p.text[0]))
}
