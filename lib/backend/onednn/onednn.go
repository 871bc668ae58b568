// Package onednn is the CPU backend: oneDNN's float32 convolutions and matrix products, and kernels of its own for the rest.
//
// Activations are kept in blocks of as many channels as a vector has lanes (nChw16c or nChw8c, channels padded with zeros), those with fewer
// channels in planes (nchw); inputs and outputs are converted at the edges. Parameters, their gradients and the optimiser's state are dense
// KRSC, and convolutions pack the weights they read. Given the number of threads, results are the same bits in every run.
//
// A program is a list of C steps that one cgo call runs on the executor's thread.
package onednn

// #cgo CXXFLAGS: -std=c++17 -O3 -fopenmp -fvisibility=hidden -Wall -Wextra -Wno-psabi
// #cgo LDFLAGS: -lgomp -ldl
// #include "loader.h"
// #include "program.h"
import "C"

import (
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

func init() { backend.Register("onednn", open) }

// Backend is the oneDNN backend, named "onednn". Its zero value computes in float32.
type Backend struct {
	Int8 bool // convolutions in 8 bits, for plans that know the ranges of their feature maps (plan.Options.Ranges); forward only
}

// open is Backend's backend.Opener.
func open(d backend.Device) (backend.Backend, error) {
	if d.Ordinal == 0 && d.Precision == backend.I8 {
		return Backend{Int8: true}, nil
	}
	return backend.OnCPU(Backend{})(d)
}

// Name is "onednn".
func (Backend) Name() string { return "onednn" }

// Device is the processor.
func (b Backend) Device() string {
	if b.Int8 {
		return "cpu, int8"
	}
	return "cpu, f32"
}

// Environment is oneDNN's version and the instruction set that it takes.
func (Backend) Environment() string { return C.GoString(C.dsl_environment()) }

// PlanOptions: activations lie in blocks of channels, and a residual in the output's place is oneDNN's cheapest sum.
func (b Backend) PlanOptions() plan.Options {
	bytes := func(maker *ir.Step, t *ir.Tensor) int64 {
		if scaledInSetup(maker) { // findScaled finds it a place
			return 0
		}
		return blocked(t)
	}
	return plan.Options{Bytes: bytes, OverResidual: true, Int8: b.Int8}
}

// Batches: 10 images of 224×224, 128 of 64×64. Two threads and 32 MB of cache took, for each image, with ResNet-50 and 8-bit integers 4.1 ms in batches of 8
// images of 224×224 and 4.6 in batches of 32; in float32 12.3 and 12.5. Images of 64×64 (ResNet-18, float32, one thread): 0.89 ms in batches of 8, 0.68 of 32,
// 0.63 of 128. Processors with many cores were not at hand.
func (Backend) Batches() backend.Batches { return backend.Batches{Pixels: 1 << 19} }

// blocked is the dense size with the last axis of 4-D tensors rounded up to whole blocks of channels.
func blocked(t *ir.Tensor) int64 {
	if len(t.Shape) != 4 {
		return plan.Dense(t)
	}
	c := int64(t.Shape[3])
	return plan.Dense(t) / max(c, 1) * padded(c)
}

// lanes is the number of channels in a block. Asking loads oneDNN, which says what the processor can do.
func lanes() int64 { return int64(C.dsl_lanes()) }

// padded is the number of channels that c channels take.
func padded(c int64) int64 {
	l := lanes()
	if c < l {
		return c
	}
	return (c + l - 1) / l * l
}

// loaded says why there is no oneDNN, if so.
func loaded() error {
	if why := C.dsl_onednn_problem(); why != nil {
		return errs.New(errs.Device, "%s", C.GoString(why))
	}
	return nil
}

// alloc is memory outside the Go heap. It is not cleared.
func alloc(bytes int64) (unsafe.Pointer, error) {
	p := C.dsl_alloc(C.size_t(bytes))
	if bytes < 0 || p == nil {
		return nil, errs.New(errs.OutOfMemory, "onednn: no memory for %d MB of tensors; use a smaller batch or image", bytes>>20)
	}
	return p, nil
}

// status makes an error of what a C call returned. It is called on the thread that made the call.
func status(rc C.int) error {
	switch rc {
	case C.DSL_OK:
		return nil
	case C.DSL_CANCELLED:
		return errs.New(errs.Cancelled, "onednn: cancelled")
	case C.DSL_NO_MEMORY:
		return errs.New(errs.OutOfMemory, "%s; use a smaller batch or image", C.GoString(C.dsl_last_error()))
	case C.DSL_UNSUPPORTED:
		return errs.New(errs.Unsupported, "%s", C.GoString(C.dsl_last_error()))
	}
	return errs.New(errs.Device, "%s", C.GoString(C.dsl_last_error()))
}
