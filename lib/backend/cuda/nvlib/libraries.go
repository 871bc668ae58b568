package nvlib

// #include <stdlib.h>
// #include "nvlib.h"
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"libdsl/lib/errs"
)

// Library is one that is in use.
type Library struct{ Path, Version string }

// Libraries are those in use. They stay open while the process lives.
type Libraries struct {
	CUDNN, CUBLAS Library
	CUDA          int // the major version of CUDA that they are built for
	functions     *C.nvlib_functions
}

var state struct {
	sync.Mutex
	folders []string
	opened  *Libraries
}

// AddDir adds a folder in which Open looks. It matters before the first Open that succeeds.
func AddDir(dir string) {
	state.Lock()
	defer state.Unlock()
	if !slices.Contains(state.folders, dir) {
		state.folders = append(state.folders, dir)
	}
}

// Open finds and opens cuDNN 9 and cuBLAS, built for a CUDA that the driver's version (12040 is 12.4) supports: 12, or with a driver of version 13
// either. The first success is kept. It looks at
//
//  1. the files named by DSL_CUDNN_LIBRARY and DSL_CUBLAS_LIBRARY, and then nowhere else,
//  2. what the process has loaded, as PyTorch does,
//  3. the folders of AddDir,
//  4. beside libdsl.so: its own folder, dsl/ there, and where wheels of NVIDIA lie when libdsl.so is in a wheel,
//  5. the environment in VIRTUAL_ENV, and the one in CONDA_PREFIX,
//  6. where the system's loader looks,
//  7. CUDA_HOME, /usr/local/cuda*, the system's folders, and the wheels of the system's Python.
//
// Errors: Device with what was tried, why it cannot be used, and what to install.
func Open(driverVersion int) (*Libraries, error) {
	state.Lock()
	defer state.Unlock()
	if state.opened != nil {
		return state.opened, nil
	}
	var path [4096]C.char
	own := filepath.Dir(C.GoString(C.nvlib_own_path(&path[0], C.size_t(len(path)))))
	l, err := open(driverVersion, search{getenv: getenv, added: slices.Clone(state.folders), own: own})
	if err == nil {
		state.opened = l
	}
	return l, err
}

// getenv asks C, as Go's copy of the environment is older than what a program has set since it loaded libdsl.
func getenv(name string) string {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	if v := C.getenv(n); v != nil {
		return C.GoString(v)
	}
	return ""
}

// families are the major versions of CUDA whose libraries a driver can run, the best first.
func families(driverVersion int) []int {
	if driverVersion >= 13000 {
		return []int{13, 12}
	}
	return []int{12}
}

func open(driverVersion int, s search) (*Libraries, error) {
	l := &Libraries{functions: (*C.nvlib_functions)(C.calloc(1, C.sizeof_nvlib_functions))}
	err := l.open(driverVersion, s)
	if err != nil {
		C.free(unsafe.Pointer(l.functions))
		return nil, err
	}
	return l, nil
}

func (l *Libraries) open(driverVersion int, s search) error {
	possible := families(driverVersion)
	var err error
	l.CUDNN.Path, err = s.find(cudnnWanted(possible[0]), func(library unsafe.Pointer, path string) error {
		return l.acceptCUDNN(library, path, possible)
	})
	if err != nil {
		return err
	}
	l.CUBLAS.Path, err = s.find(cublasWanted(l.CUDA), l.acceptCUBLAS)
	if err != nil {
		return err
	}
	// cuDNN opens NVRTC by its name when it compiles kernels. Without it there are fewer of them.
	_, _ = s.find(nvrtcWanted(l.CUDA), func(unsafe.Pointer, string) error { return nil })
	return nil
}

func cudnnWanted(family int) wanted {
	return wanted{title: "cuDNN 9", variable: "DSL_CUDNN_LIBRARY", soname: "libcudnn.so.9", wheels: []string{"nvidia/cudnn/lib"},
		install: fmt.Sprintf("\"pip install nvidia-cudnn-cu%d\", \"conda install -c conda-forge cudnn\", or NVIDIA's Debian package "+
			"libcudnn9-cuda-%d", family, family)}
}

// toolkit is the folder of wheels of CUDA's own libraries: one each for CUDA 12, one for all since 13.
func toolkit(name string, family int) []string {
	if family >= 13 {
		return []string{fmt.Sprintf("nvidia/cu%d/lib", family)}
	}
	return []string{"nvidia/" + name + "/lib"}
}

func cublasWanted(family int) wanted {
	wheel := "nvidia-cublas"
	if family == 12 {
		wheel = "nvidia-cublas-cu12"
	}
	return wanted{title: fmt.Sprintf("cuBLAS %d", family), variable: "DSL_CUBLAS_LIBRARY", soname: fmt.Sprintf("libcublas.so.%d", family),
		wheels: toolkit("cublas", family), needs: fmt.Sprintf("libcublasLt.so.%d", family),
		install: fmt.Sprintf("\"pip install %s\", \"conda install -c conda-forge libcublas\", or NVIDIA's Debian package libcublas-%d-…", wheel,
			family)}
}

func nvrtcWanted(family int) wanted {
	return wanted{title: "NVRTC", soname: fmt.Sprintf("libnvrtc.so.%d", family), wheels: toolkit("cuda_nvrtc", family)}
}

// find opens the first library that is accepted, and returns its path.
func (s search) find(w wanted, accept func(library unsafe.Pointer, path string) error) (string, error) {
	var r report
	for _, p := range s.places(w) {
		if r.missing(p) {
			continue
		}
		library, err := dlopenWith(p, w.needs)
		if err != nil {
			r.refused(p, err)
			continue
		}
		path := pathOf(library, p.path)
		if err := accept(library, path); err != nil {
			C.nvlib_close(library)
			r.unusable = append(r.unusable, fmt.Sprintf("%s cannot be used: %v", path, err))
			continue
		}
		return path, nil
	}
	return "", s.notFound(w, &r)
}

func (s search) notFound(w wanted, r *report) error {
	if w.variable != "" && s.getenv(w.variable) != "" {
		why := append(r.unusable, r.loader)[0]
		if len(r.absent) > 0 {
			why = fmt.Sprintf("there is no file %s", s.getenv(w.variable))
		}
		return errs.New(errs.Device, "nvlib: %s is to be %s: %s", w.variable, w.title, why)
	}
	return errs.New(errs.Device, "nvlib: no %s was found: %s. Install it with %s, or set %s to the path of its %s", w.title, r, w.install, w.variable,
		w.soname)
}

// dlopen opens a library, or finds one that is loaded.
func dlopen(p place) (unsafe.Pointer, error) {
	path := C.CString(p.path)
	defer C.free(unsafe.Pointer(path))
	var problem C.nvlib_problem
	library := C.nvlib_open(path, flag(p.loaded), &problem)
	if library == nil {
		return nil, failure(&problem)
	}
	return library, nil
}

// dlopenWith opens a library after another one from its folder, if that is there. The library keeps what it needs.
func dlopenWith(p place, needs string) (unsafe.Pointer, error) {
	if needs != "" && strings.Contains(p.path, "/") {
		if needed, err := dlopen(place{path: filepath.Join(filepath.Dir(p.path), needs)}); err == nil {
			defer C.nvlib_close(needed)
		}
	}
	return dlopen(p)
}

func pathOf(library unsafe.Pointer, otherwise string) string {
	var path [4096]C.char
	if found := C.GoString(C.nvlib_path(library, &path[0], C.size_t(len(path)))); found != "" {
		return found
	}
	return otherwise
}

// acceptCUDNN takes a cuDNN that is whole, not too old, and built for one of the families.
func (l *Libraries) acceptCUDNN(library unsafe.Pointer, path string, possible []int) error {
	var problem C.nvlib_problem
	if C.nvlib_bind_cudnn(library, l.functions, &problem) != 0 {
		return failure(&problem)
	}
	parts, err := loadParts(path)
	if err == nil {
		err = l.checkCUDNN(possible)
	}
	if err != nil {
		for _, part := range parts {
			C.nvlib_close(part)
		}
	}
	return err
}

func (l *Libraries) checkCUDNN(possible []int) error {
	version := int(C.nvlib_cudnn_version(l.functions))
	if version < 90000 {
		return errs.New(errs.Device, "it is cuDNN %d.%d.%d, and 9.0 or later is needed", version/1000, version/100%10, version%100)
	}
	l.CUDNN.Version = fmt.Sprintf("%d.%d.%d", version/10000, version/100%100, version%100)
	l.CUDA = int(C.nvlib_cudnn_cudart(l.functions)) / 1000
	if !slices.Contains(possible, l.CUDA) {
		return errs.New(errs.Device, "it is built for CUDA %d, and the driver runs libraries for CUDA %s", l.CUDA, either(possible))
	}
	return nil
}

func either(numbers []int) string {
	text := fmt.Sprint(numbers[0])
	for _, n := range numbers[1:] {
		text += fmt.Sprintf(" or %d", n)
	}
	return text
}

// cudnnParts are the libraries behind libcudnn.so.9, in an order in which they can be loaded.
var cudnnParts = []string{"graph", "ops", "cnn", "heuristic", "engines_precompiled", "engines_runtime_compiled"}

// loadParts loads the rest of a cuDNN from its own folder. libcudnn.so.9 would look for it by name, where another cuDNN's may lie, and end the
// process when there is none.
func loadParts(path string) ([]unsafe.Pointer, error) {
	var parts []unsafe.Pointer
	for i, part := range cudnnParts {
		name := "libcudnn_" + part + ".so.9"
		file := filepath.Join(filepath.Dir(path), name)
		if _, err := os.Stat(file); err != nil {
			if i > 0 {
				continue
			}
			file = name
		}
		library, err := dlopen(place{path: file})
		if err != nil {
			return parts, errs.New(errs.Device, "its part %s cannot be loaded: %v", name, err)
		}
		parts = append(parts, library)
	}
	return parts, nil
}

// acceptCUBLAS takes a cuBLAS of the family.
func (l *Libraries) acceptCUBLAS(library unsafe.Pointer, path string) error {
	var problem C.nvlib_problem
	if C.nvlib_bind_cublas(library, l.functions, &problem) != 0 {
		return failure(&problem)
	}
	part := func(property C.int) int { return int(C.nvlib_cublas_version(l.functions, property)) }
	major := part(C.CUBLAS_MAJOR_VERSION)
	l.CUBLAS.Version = fmt.Sprintf("%d.%d.%d", major, part(C.CUBLAS_MINOR_VERSION), part(C.CUBLAS_PATCH_LEVEL))
	if major != l.CUDA {
		return errs.New(errs.Device, "it is cuBLAS %s, and cuDNN is built for CUDA %d", l.CUBLAS.Version, l.CUDA)
	}
	return nil
}
