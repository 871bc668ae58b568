package emulated

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

static void *library;
static char *load(const char *path) { return (library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) ? 0 : dlerror(); }
static int live(const char *kind) {
	int (*f)(const char *) = (int (*)(const char *))dlsym(library, "emulated_live");
	return f ? f(kind) : -1;
}
static int current(void) {
	int (*f)(void **) = (int (*)(void **))dlsym(library, "cuCtxGetCurrent");
	void *context = 0;
	return f && f(&context) == 0 && context;
}
static int overtaken(void) {
	int (*f)(void) = (int (*)(void))dlsym(library, "emulated_overtaken");
	return f ? f() : -1;
}
static void text(const char *what, char *to, size_t bytes) {
	void (*f)(char *, size_t) = (void (*)(char *, size_t))dlsym(library, what);
	if (f) f(to, bytes);
}
*/
import "C"

import (
	"strings"
	"unsafe"

	"libdsl/lib/errs"
)

// load opens the library that the backend opens too, which is the same one then.
func load(path string) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	if msg := C.load(name); msg != nil {
		return errs.New(errs.Internal, "emulated: %s", C.GoString(msg))
	}
	return nil
}

// lines calls a function of the double that fills a buffer with lines.
func lines(function string) []string {
	if Real() {
		return nil
	}
	const most = 1 << 16
	name, buf := C.CString(function), (*C.char)(C.calloc(most, 1))
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(buf))
	C.text(name, buf, most)
	return strings.FieldsFunc(C.GoString(buf), func(r rune) bool { return r == '\n' })
}

// Live counts the handles that exist, by kind: "memory", "pinned memory", "stream", "event", "module", "graph", "graph instance",
// "context" (times retained), and what the other doubles count. Kinds at zero are left out.
func Live() map[string]int {
	out := map[string]int{}
	for _, kind := range lines("emulated_kinds") {
		name := C.CString(kind)
		if n := int(C.live(name)); n != 0 {
			out[kind] = n
		}
		C.free(unsafe.Pointer(name))
	}
	return out
}

// Problems returns the misuse noted since it was last called.
func Problems() []string { return lines("emulated_problems") }

// Current reports whether a context is current on the calling thread.
func Current() bool { return C.current() != 0 }

// Overtaken returns how many copies to the device, since it was last called, ran while older work of another stream was still to be done. With
// DSL_EMULATED_ORDER=1 those are the copies that may run beside such work.
func Overtaken() int { return int(C.overtaken()) }
