package driver

/*
#cgo noescape launch
#cgo nocallback launch
#include <cuda.h>

static CUresult load(const char *ptx, CUmodule *module, char *log, size_t bytes) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)bytes};
	return cuModuleLoadDataEx(module, ptx, 2, options, values);
}

enum { MAX_ARGS = 32 };

// Every parameter has 8 bytes. The null at the end is for the emulated driver, which counts them.
static CUresult launch(CUfunction f, CUstream stream, unsigned x, unsigned y, unsigned threads, unsigned shared, uint64_t *args, int n) {
	void *parameters[MAX_ARGS + 1];
	for (int i = 0; i < n; i++)
		parameters[i] = &args[i];
	parameters[n] = 0;
	return cuLaunchKernel(f, x, y, 1, threads, 1, 1, shared, stream, parameters, 0);
}
*/
import "C"

import (
	"math"
	"strings"
	"unsafe"

	"libdsl/lib/errs"
)

// Module is code that was loaded.
type Module struct{ handle C.CUmodule }

// LoadModule compiles PTX, ended by a zero byte, for the GPU of the current context; the driver keeps what it compiled on disk.
// Errors: Device, with the words of the driver's compiler.
func LoadModule(ptx []byte) (*Module, error) {
	const logBytes = 8192
	if len(ptx) == 0 || ptx[len(ptx)-1] != 0 {
		return nil, errs.New(errs.Internal, "cuda: kernels: the text does not end in a zero byte")
	}
	log := (*C.char)(C.calloc(1, logBytes))
	defer C.free(unsafe.Pointer(log))
	m := &Module{}
	if err := check(C.load((*C.char)(unsafe.Pointer(&ptx[0])), &m.handle, log, logBytes), "loading kernels"); err != nil {
		if said := strings.TrimSpace(C.GoString(log)); said != "" {
			return nil, errs.Wrap(errs.KindOf(err), err, "cuda: the driver's compiler says %q", said)
		}
		return nil, err
	}
	return m, nil
}

// Close unloads the code.
func (m *Module) Close() error { return check(C.cuModuleUnload(m.handle), "unloading kernels") }

// Function is a kernel.
type Function struct{ handle C.CUfunction }

// Function finds a kernel. A driver that loads lazily loads its code here, not in a capture. Errors: NotFound.
func (m *Module) Function(name string) (Function, error) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	var f Function
	r := C.cuModuleGetFunction(&f.handle, m.handle, c)
	if r == C.CUDA_ERROR_NOT_FOUND {
		return f, errs.New(errs.NotFound, "cuda: kernel %q is not in the loaded code", name)
	}
	return f, check(r, "finding a kernel")
}

// Launch puts a kernel into a stream: gridX·gridY blocks of so many threads. The arguments, 32 at most, have 8 bytes each, as have the kernel's
// parameters. It does not allocate. Errors: Device.
func (f Function) Launch(s *Stream, gridX, gridY, threads, sharedBytes int, args ...uint64) error {
	if len(args) > C.MAX_ARGS || gridX < 1 || gridX > math.MaxInt32 || gridY < 1 || gridY > math.MaxUint16 {
		return errs.New(errs.Internal, "cuda: launch of %d×%d blocks with %d arguments", gridX, gridY, len(args))
	}
	return check(C.launch(f.handle, s.c(), C.uint(gridX), C.uint(gridY), C.uint(threads), C.uint(sharedBytes),
		(*C.uint64_t)(unsafe.SliceData(args)), C.int(len(args))), "launching a kernel")
}
