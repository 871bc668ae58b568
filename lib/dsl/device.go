package dsl

import (
	"strconv"
	"strings"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda"
	_ "libdsl/lib/backend/onednn" // registers itself
	"libdsl/lib/errs"
)

// The backends of the devices that users name.
const (
	cpuBackend  = "onednn"
	cudaBackend = "cuda"
)

var precisions = map[string]backend.Precision{"": backend.Auto, "auto": backend.Auto, "f32": backend.F32, "tf32": backend.TF32, "bf16": backend.BF16,
	"int8": backend.I8}

// openBackend opens a device, "auto" (or "") the first GPU where one can be used, else the CPU.
// Errors: Device with the reason when a GPU that was asked for cannot be used; Unsupported for a precision that the device cannot compute in;
// Invalid for anything that is not the name of a device or a precision.
func openBackend(device, precision string) (backend.Backend, error) {
	p, ok := precisions[precision]
	if !ok {
		return nil, errs.New(errs.Invalid, "dsl: precision: got %q, want \"auto\", \"f32\", \"tf32\", \"bf16\" or \"int8\"", precision)
	}
	name, number, numbered := strings.Cut(device, ":")
	switch {
	case device == "" || device == "auto":
		b, err := backend.Open(cudaBackend, backend.Device{Precision: p})
		if k := errs.KindOf(err); k == errs.Device || k == errs.Unsupported { // DescribeGPU says why
			return backend.Open(cpuBackend, backend.Device{Precision: p})
		}
		return b, err
	case device == "cpu":
		return backend.Open(cpuBackend, backend.Device{Precision: p})
	case name == "cuda" && (!numbered || isNumber(number)):
		ordinal, _ := strconv.Atoi(number) // "" is 0
		return backend.Open(cudaBackend, backend.Device{Ordinal: ordinal, Precision: p})
	}
	return nil, errs.New(errs.Invalid, "dsl: device: got %q, want \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", device)
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// arraysOn is the device that big arrays are computed on: nil for the CPU, which does what is too small to pay. "auto" opens a GPU only for what pays.
// Errors: as openBackend.
func arraysOn(device string, multiplyAdds float64) (backend.ArrayBackend, error) {
	if (device == "" || device == "auto") && !backend.Pays(multiplyAdds) {
		return nil, nil
	}
	be, err := openBackend(device, "f32")
	if err != nil {
		return nil, err
	}
	return backend.Arrays(be, multiplyAdds), nil
}

// GPU describes a GPU that sessions and trainings can use.
type GPU struct {
	Name              string `json:"name"`
	ComputeCapability string `json:"compute_capability"`
	TotalMemory       int64  `json:"total_memory_bytes"`
	FreeMemory        int64  `json:"free_memory_bytes"`
	Driver            string `json:"driver"` // the CUDA version that the driver knows
	CuDNN             string `json:"cudnn"`
	CuBLAS            string `json:"cublas"`
}

// CountGPUs is the number of GPUs that can be used; DescribeGPU(0) says why there is none.
func CountGPUs() int {
	n, err := cuda.Count()
	if err != nil {
		return 0
	}
	return n
}

// DescribeGPU opens a GPU. Errors: Device with the reason why it cannot be used.
func DescribeGPU(ordinal int) ([]byte, error) {
	d, err := cuda.Describe(ordinal)
	if err != nil {
		return nil, err
	}
	return indented(GPU(d))
}

// AddLibraryDir names a folder in which cuDNN and cuBLAS are looked for, before the first GPU is opened.
func AddLibraryDir(dir string) { cuda.AddLibraryDir(dir) }
