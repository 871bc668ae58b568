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
	message := C.GoString(&found.message[0])
	switch {
	case found.state == C.DSL_CUDA_OFF:
		return Info{}, errs.New(errs.Device, "cuda: GPUs are switched off by DSL_CUDA_DRIVER=none")
	case found.state == C.DSL_CUDA_NO_DRIVER:
		return Info{}, errs.New(errs.Device, "cuda: no CUDA driver: %s; install NVIDIA's driver, or use device \"cpu\"", message)
	case found.state == C.DSL_CUDA_FAILED:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s does not start: %s", info.Path, reason(found.init_result, message))
	case info.Version < oldest:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s knows CUDA %s; libdsl needs a driver for CUDA 12.0 (525) or newer",
			info.Path, version(info.Version))
	case info.Devices == 0:
		return Info{}, errs.New(errs.Device, "cuda: the driver %s sees no GPU; is CUDA_VISIBLE_DEVICES empty?", info.Path)
	}
	return info, nil
})

func version(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// reason says what a failed start of the driver means, and what helps.
func reason(result C.int, message string) string {
	help := "nvidia-smi may say more"
	switch result {
	case C.CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND:
		return "it has no cuInit: this is no CUDA driver"
	case C.CUDA_ERROR_STUB_LIBRARY:
		help = "it is the CUDA toolkit's stand-in for a driver; put the real libcuda.so.1 before it"
	case C.CUDA_ERROR_NO_DEVICE:
		help = "there is no GPU; is CUDA_VISIBLE_DEVICES empty?"
	case C.CUDA_ERROR_SYSTEM_NOT_READY:
		help = "the machine's GPUs are not ready; does nvidia-fabricmanager run?"
	case C.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
		help = "it does not fit the kernel's module; a restart after the driver's update helps"
	case C.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE:
		help = "it is CUDA's compatibility package, which this GPU does not allow; put the installed driver's libcuda.so.1 before it"
	}
	return message + ": " + help
}

// Properties of a GPU.
type Properties struct {
	Name            string
	Major, Minor    int // compute capability
	Multiprocessors int
	TotalBytes      int64
}

// Device describes a GPU. It needs no context. Errors: Device, also before Open.
func Device(ordinal int) (p Properties, err error) {
	d, err := cu.GetDevice(ordinal)
	if err != nil {
		return p, failed(err, fmt.Sprintf("device %d", ordinal))
	}
	if p.Name, err = d.Name(); err != nil {
		return p, failed(err, "the GPU's name")
	}
	if p.TotalBytes, err = d.TotalMem(); err != nil {
		return p, failed(err, "the GPU's memory")
	}
	for _, a := range []struct {
		to   *int
		what cu.DeviceAttribute
	}{{&p.Major, cu.ComputeCapabilityMajor}, {&p.Minor, cu.ComputeCapabilityMinor}, {&p.Multiprocessors, cu.MultiprocessorCount}} {
		if *a.to, err = d.Attribute(a.what); err != nil {
			return p, failed(err, "the GPU's properties")
		}
	}
	return p, nil
}
