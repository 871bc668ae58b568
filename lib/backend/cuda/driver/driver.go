// Package driver is the CUDA driver as the backend uses it: gorgonia.org/cu where that is sound, and what it lacks.
//
// libdsl is linked without any CUDA library: loader.c stands in for -lcuda, and include/cuda.h for NVIDIA's header. Nothing of a driver is touched
// before Open. But for Open and Device, everything works on the context that is current on the calling thread: the caller locks its goroutine to
// an operating-system thread and calls Context.Use there. Only the primary context is used, which PyTorch and others in the process share.
package driver

// #cgo LDFLAGS: -ldl -lpthread
// #include <cuda.h>
import "C"

import (
	"fmt"
	"sync"

	"gorgonia.org/cu"

	"libdsl/lib/errs"
)

// oldest is the oldest driver that is supported: what CUDA 12.0 came with.
const oldest = 12000

// Info is the driver that was found.
type Info struct {
	Path    string
	Version int // the CUDA version that it knows, as CUDA writes it: 12040 is 12.4
	Devices int
}

// Open loads the driver when it is called first. Errors: Device, saying why no GPU can be used and what to do.
func Open() (Info, error) { return open() }

var open = sync.OnceValues(func() (Info, error) {
	var found C.dsl_cuda_info
	C.dsl_cuda_open(&found)
	info := Info{Path: C.GoString(&found.path[0]), Version: int(found.version), Devices: int(found.devices)}
	switch {
	case found.state == C.DSL_CUDA_NO_DRIVER:
		return Info{}, errs.New(errs.Device, "cuda: no CUDA driver: %s; install NVIDIA's driver, or use device \"cpu\"", C.GoString(&found.message[0]))
	case found.state == C.DSL_CUDA_FAILED:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s does not start: %s", info.Path, reason(found.init_result))
	case info.Version < oldest:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s knows CUDA %s; libdsl needs a driver for CUDA 12.0 (525) or newer",
			info.Path, version(info.Version))
	case info.Devices == 0:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s sees no GPU; is CUDA_VISIBLE_DEVICES empty?", info.Path)
	}
	return info, nil
})

func version(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// reason says what a failed start of the driver means.
func reason(result C.int) string {
	switch result {
	case C.CUDA_ERROR_STUB_LIBRARY:
		return "it is the CUDA toolkit's stand-in for a driver (error 34); put the real libcuda.so.1 before it"
	case C.CUDA_ERROR_NO_DEVICE:
		return "no GPU (error 100); is CUDA_VISIBLE_DEVICES empty?"
	case C.CUDA_ERROR_NOT_FOUND:
		return "it has no cuInit: this is no CUDA driver"
	case C.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
		return "it does not fit the kernel's module (error 803); a restart after the driver's update helps"
	}
	return fmt.Sprintf("error %d of cuInit", int(result))
}

// Properties of a GPU.
type Properties struct {
	Name            string
	Major, Minor    int // compute capability
	Multiprocessors int
	TotalBytes      int64
}

// Device describes a GPU. Errors: Device.
func Device(ordinal int) (Properties, error) {
	d, err := cu.GetDevice(ordinal)
	if err != nil {
		return Properties{}, failed(err, "cuda: device %d", ordinal)
	}
	var p Properties
	if p.Name, err = d.Name(); err != nil {
		return p, failed(err, "cuda: name of device %d", ordinal)
	}
	if p.TotalBytes, err = d.TotalMem(); err != nil {
		return p, failed(err, "cuda: memory of device %d", ordinal)
	}
	if p.Major, p.Minor, err = d.ComputeCapability(); err != nil {
		return p, failed(err, "cuda: compute capability of device %d", ordinal)
	}
	if p.Multiprocessors, err = d.Attribute(cu.MultiprocessorCount); err != nil {
		return p, failed(err, "cuda: multiprocessors of device %d", ordinal)
	}
	return p, nil
}

// failed makes an error of what gorgonia.org/cu returned; nil stays nil.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	kind := errs.Device
	if err == cu.OutOfMemory {
		kind = errs.OutOfMemory
	}
	return errs.New(kind, "%s: CUDA's error %v", fmt.Sprintf(format, args...), err)
}

// check makes an error of what a call of our own returned.
func check(r C.CUresult, what string) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	var name *C.char
	if C.cuGetErrorName(r, &name) != C.CUDA_SUCCESS || name == nil {
		return errs.New(errs.Device, "cuda: %s: error %d", what, int(r))
	}
	kind := errs.Device
	if r == C.CUDA_ERROR_OUT_OF_MEMORY {
		kind = errs.OutOfMemory
	}
	return errs.New(kind, "cuda: %s: %s (%d)", what, C.GoString(name), int(r))
}
