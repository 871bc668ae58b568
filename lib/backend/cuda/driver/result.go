package driver

// #include <cuda.h>
import "C"

import (
	"fmt"
	"reflect"

	"libdsl/lib/errs"
)

// check makes an error of CUDA's result of something; success gives nil.
func check(r C.CUresult, what string) error {
	switch r {
	case C.CUDA_SUCCESS:
		return nil
	case C.CUDA_ERROR_OUT_OF_MEMORY:
		return errs.New(errs.OutOfMemory, "cuda: %s: %s", what, name(r))
	case C.CUDA_ERROR_NOT_INITIALIZED:
		return errs.New(errs.Device, "cuda: %s: no driver has been opened (%d)", what, int(r))
	case C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_NVLINK_UNCORRECTABLE, C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_TIMEOUT,
		C.CUDA_ERROR_ASSERT, C.CUDA_ERROR_HARDWARE_STACK_ERROR, C.CUDA_ERROR_ILLEGAL_INSTRUCTION, C.CUDA_ERROR_MISALIGNED_ADDRESS,
		C.CUDA_ERROR_INVALID_ADDRESS_SPACE, C.CUDA_ERROR_INVALID_PC, C.CUDA_ERROR_LAUNCH_FAILED:
		return errs.New(errs.Device, "cuda: %s: %s; this process cannot use the GPU any more", what, name(r))
	}
	return errs.New(errs.Device, "cuda: %s: %s", what, name(r))
}

// failed does the same for a result of gorgonia.org/cu, whose errors are CUDA's numbers in a type that it keeps to itself.
func failed(err error, what string) error {
	if err == nil {
		return nil
	}
	return check(C.CUresult(reflect.ValueOf(err).Int()), what)
}

// name is what CUDA calls a result, with its number.
func name(r C.CUresult) string {
	var text *C.char
	if C.cuGetErrorName(r, &text) != C.CUDA_SUCCESS || text == nil {
		return fmt.Sprintf("error %d", int(r))
	}
	return fmt.Sprintf("%s (%d)", C.GoString(text), int(r))
}
