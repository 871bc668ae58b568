package network

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"libdsl/lib/backend"
	_ "libdsl/lib/backend/goref"
	_ "libdsl/lib/backend/onednn"
)

// Main is a program that a Python test starts with [flags] FOLDER. It hands the folder's network to do, with the backend and the CPU threads that the
// flags name; flags that the caller defined before are read too. An error, or arguments that make no sense, end the process.
func Main(do func(n *Network, be backend.Backend, threads int) error) {
	name := flag.String("backend", "onednn", "backend")
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
	if err := open(flag.Arg(0), *name, *threads, do); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func open(dir, name string, threads int, do func(n *Network, be backend.Backend, threads int) error) error {
	be, err := backend.Open(name, backend.Device{})
	if err != nil {
		return err
	}
	n, err := Load(dir)
	if err != nil {
		return err
	}
	return do(n, be, threads)
}
