// Package emulated runs the CUDA backend's tests without a GPU: test doubles of the libraries that a GPU's machine has, in C++.
//
// libcuda.so.1 keeps "device" memory on the host and runs the kernels' own sources, compiled as C++. It does later what the real one may
// do later (a stream's work happens when somebody waits for it), and notes what the real one punishes: calls without a context, accesses
// outside allocations, memory freed twice, waiting in a capture (Problems), and handles that are still there (Live). Its events count pieces of
// work. It says nothing about speed, about the PTX, or about races inside the real memory model. Environment variables change what it pretends to be:
//
//	DSL_EMULATED_VERSION     the driver's version, 12040 by default
//	DSL_EMULATED_CAPABILITY  the compute capability, 90 by default
//	DSL_EMULATED_DEVICES     how many devices there are, 1 by default
//	DSL_EMULATED_MEMORY      bytes of memory of a device, 4 GB by default
//	DSL_EMULATED_SEED        the order in which threads run
//	DSL_EMULATED_ORDER       the order of streams that do not wait for each other: 0, the default, runs only what is waited for; with 1 all
//	                         other streams run first, as far as they can. What is ordered by events gives the same in both
//	DSL_EMULATED_INIT        what cuInit returns, 0 by default
//	DSL_EMULATED_HEURISTICS  what cuDNN's heuristics return, 0 by default; with 3000, not supported, there is no engine for anything
package emulated

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// double is one library: what is compiled, into which file, and the variable that leads the backend to it.
type double struct {
	file, variable string
	compile        []string // patterns below this folder
	headers        []string // and of what those include
	driver         bool     // it links against the emulated driver
	alias          string   // another name for the file
}

var doubles = []double{
	{file: "libcuda.so.1", variable: "DSL_CUDA_DRIVER",
		compile: []string{"doubles/context.cpp", "doubles/errors.cpp", "doubles/faulty.cpp", "doubles/fiber.cpp", "doubles/kernels.cpp",
			"doubles/memory.cpp", "doubles/module.cpp", "doubles/stream.cpp"},
		headers: []string{"doubles/*.h", "../kernels/*.cu", "../kernels/*.h"}},
	{file: "libcudnn.so.9", variable: "DSL_CUDNN_LIBRARY", driver: true, alias: "libcudnn_graph.so.9", // a part that the real one has
		compile: []string{"doubles/cudnn.cpp", "doubles/cudnn_graph.cpp"}, headers: []string{"doubles/*.h"}},
	{file: "libcublas.so.12", variable: "DSL_CUBLAS_LIBRARY", driver: true,
		compile: []string{"doubles/cublas*.cpp"}, headers: []string{"doubles/*.h"}},
}

// Real reports whether the tests use this machine's GPU instead of the doubles.
func Real() bool { return os.Getenv("DSL_TEST_GPU") == "1" }

// Environment builds the doubles, unless they are there from before, and returns the variables that lead a program to them, as NAME=path.
func Environment() ([]string, error) {
	var all []string
	driver := ""
	for _, d := range doubles {
		path, err := build(d, driver)
		if err != nil {
			return nil, err
		}
		if driver == "" {
			driver = path
		}
		all = append(all, d.variable+"="+path)
	}
	return all, nil
}

var start = sync.OnceValue(func() error {
	all, err := Environment()
	if err != nil {
		return err
	}
	for _, v := range all {
		name, path, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, path); err != nil {
			return err
		}
	}
	return load(os.Getenv(doubles[0].variable))
})

// Start builds the doubles, unless they are there from before, and leads the backend to them; when the test ends, misuse that nobody asked
// about is its failure. With DSL_TEST_GPU=1 it does nothing: the test runs on the real libraries.
func Start(t testing.TB) {
	t.Helper()
	if Real() {
		return
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, p := range Problems() {
			t.Errorf("emulated CUDA: %s", p)
		}
	})
}
