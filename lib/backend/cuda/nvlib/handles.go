package nvlib

// #include <stdlib.h>
// #include "nvlib.h"
import "C"

import (
	"unsafe"

	"libdsl/lib/errs"
)

// Handles are cuDNN's and cuBLAS's handles of a thread, with its stream.
type Handles struct{ c *C.nvlib_handles }

// NewHandles makes handles that queue their work into a stream. CUDA's context must be current on the thread, which makes all further calls.
// Errors: Invalid before Open; OutOfMemory; Device.
func NewHandles(stream uintptr) (*Handles, error) {
	state.Lock()
	libraries := state.opened
	state.Unlock()
	if libraries == nil {
		return nil, errs.New(errs.Invalid, "nvlib: the libraries have not been opened")
	}
	h := &Handles{(*C.nvlib_handles)(C.calloc(1, C.sizeof_nvlib_handles))}
	if C.nvlib_handles_create(libraries.functions, C.uintptr_t(stream), h.c) != 0 {
		err := failure(&h.c.problem)
		h.free()
		return nil, err
	}
	return h, nil
}

// Close destroys the handles, after all their plans. It may be called twice.
func (h *Handles) Close() {
	if h.c != nil {
		C.nvlib_handles_destroy(h.c)
		h.free()
	}
}

func (h *Handles) free() {
	C.free(unsafe.Pointer(h.c))
	h.c = nil
}

func (h *Handles) closed() error { return errs.New(errs.Invalid, "nvlib: the handles are closed") }

// SetWorkspace gives cuBLAS device memory to work in, aligned to 256 bytes, for as long as the handles live. Without one a matrix product cannot
// be captured. NVIDIA recommends 32 MB for Hopper, 4 MB for others.
func (h *Handles) SetWorkspace(address uint64, bytes int64) error {
	switch {
	case h.c == nil:
		return h.closed()
	case address == 0 || address%256 != 0 || bytes <= 0:
		return errs.New(errs.Invalid, "nvlib: workspace: %d bytes at %#x: want some bytes at a multiple of 256", bytes, address)
	}
	if C.nvlib_set_workspace(h.c, C.uint64_t(address), C.size_t(bytes)) != 0 {
		return failure(&h.c.problem)
	}
	return nil
}

// Gemm queues C = op(A)·op(B) with float32 matrices in rows: C is m×n, op(A) m×k and op(B) k×n, where op transposes or not; lda, ldb and ldc are the
// lengths of the rows as they lie in memory. Without tf32 products are exact to float32. It allocates nothing. Errors: Invalid; Device.
func (h *Handles) Gemm(transA, transB bool, m, n, k int, a uint64, lda int, b uint64, ldb int, c uint64, ldc int, tf32 bool) error {
	if h.c == nil {
		return h.closed()
	}
	rowA, rowB := k, n
	if transA {
		rowA = m
	}
	if transB {
		rowB = k
	}
	if min(m, n, k) < 1 || a == 0 || b == 0 || c == 0 || lda < rowA || ldb < rowB || ldc < n || max(m, n, k, lda, ldb, ldc) > 1<<31-1 {
		return errs.New(errs.Invalid, "nvlib: matrix product %d×%d×%d with rows of %d, %d and %d: want memory and rows of at least %d, %d and %d",
			m, n, k, lda, ldb, ldc, rowA, rowB, n)
	}
	if C.nvlib_gemm(h.c, flag(transA), flag(transB), C.int(m), C.int(n), C.int(k), C.uint64_t(a), C.int(lda), C.uint64_t(b), C.int(ldb),
		C.uint64_t(c), C.int(ldc), flag(tf32)) != 0 {
		return failure(&h.c.problem)
	}
	return nil
}
