package driver

// #include <cuda.h>
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"libdsl/lib/errs"
)

// Ptr is an address in a GPU's memory.
type Ptr uint64

// MemInfo is the GPU's memory in bytes.
func MemInfo() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, failed(err, "free device memory")
}

// Alloc is memory of the GPU, with whatever was in it. Errors: OutOfMemory, saying how much is free.
func Alloc(bytes int64) (Ptr, error) {
	p, err := cu.MemAlloc(bytes)
	if err == nil {
		return Ptr(p), nil
	}
	err = failed(err, fmt.Sprintf("allocating %d MB of device memory", (bytes+1<<20-1)>>20))
	if errs.KindOf(err) != errs.OutOfMemory {
		return 0, err
	}
	free, total, _ := cu.MemInfo()
	return 0, errs.New(errs.OutOfMemory, "%v; %d of %d MB are free; use a smaller batch or image", err, free>>20, total>>20)
}

// Free frees it, after the work that the GPU has.
func Free(p Ptr) error { return failed(cu.MemFree(cu.DevicePtr(p)), "freeing device memory") }

// HostAlloc is memory of the host that the GPU can copy from and to by itself. Errors: OutOfMemory.
func HostAlloc(bytes int64) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	return p, check(C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE), "allocating pinned memory")
}

// HostFree frees it.
func HostFree(p unsafe.Pointer) error { return check(C.cuMemFreeHost(p), "freeing pinned memory") }

// CopyIn copies to the GPU and returns when src may be used again. It does not wait for streams, and streams do not wait for the data to arrive:
// what another stream reads goes through its own CopyIn.
func CopyIn(dst Ptr, src unsafe.Pointer, bytes int64) error {
	return failed(cu.MemcpyHtoD(cu.DevicePtr(dst), src, bytes), "copying to the GPU")
}

// CopyOut copies from the GPU and returns when it is done. It does not wait for streams.
func CopyOut(dst unsafe.Pointer, src Ptr, bytes int64) error {
	return failed(cu.MemcpyDtoH(dst, cu.DevicePtr(src), bytes), "copying from the GPU")
}
