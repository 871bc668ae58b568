package network

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"libdsl/lib/backend"
	_ "libdsl/lib/backend/goref"
	_ "libdsl/lib/backend/onednn"
	"libdsl/lib/errs"
)

// Main is a program that a Python test starts with [flags] FOLDER. It hands the folder's network to do, with the backend, its precision and the CPU threads that
// the flags name; flags that the caller defined before are read too. An error, or arguments that make no sense, end the process.
func Main(do func(n *Network, be backend.Backend, threads int) error) {
	name := flag.String("backend", "onednn", "backend")
	precision := flag.String("precision", "auto", "auto, f32, tf32, bf16 or int8")
	threads := flag.Int("threads", 2, "CPU threads")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: %s [flags] FOLDER\n", filepath.Base(os.Args[0]))
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *name, *precision, *threads, do); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir, name, precision string, threads int, do func(n *Network, be backend.Backend, threads int) error) error {
	be, err := OpenBackend(name, precision)
	if err != nil {
		return err
	}
	n, err := Load(dir)
	if err != nil {
		return err
	}
	return do(n, be, threads)
}

var precisions = map[string]backend.Precision{"auto": backend.Auto, "f32": backend.F32, "tf32": backend.TF32, "bf16": backend.BF16, "int8": backend.I8}

// OpenBackend opens a backend by its name, on its first device, in a precision.
func OpenBackend(name, precision string) (backend.Backend, error) {
	p, ok := precisions[precision]
	if !ok {
		return nil, errs.New(errs.Invalid, "network: precision: got %q, want auto, f32, tf32, bf16 or int8", precision)
	}
	return backend.Open(name, backend.Device{Precision: p})
}
