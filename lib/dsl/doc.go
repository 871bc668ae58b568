// Package dsl is all that C, C++ and Python can do, as a Go API: images and datasets, models, sessions that embed and
// explain, training, evaluation.
//
// It checks what comes from outside, joins the packages below and owns no method of its own. It knows nothing of C: the
// boundary (capi) turns handles into these types and errors into status numbers. Nothing happens when it is imported.
package dsl

import (
	"runtime"
	"sync/atomic"

	"libdsl/lib/errs"
)

// Version and ABIVersion are those of include/dsl.h; a test compares them.
const (
	Version    = "0.1.0"
	ABIVersion = 1
)

// defaultThreads is what SetNumThreads said; 0 stands for all cores.
var defaultThreads atomic.Int32

// SetNumThreads sets the CPU threads for all that is started from now on without a number of its own; 0 means one for
// each core that the process may use. It also bounds Go's own parallel work (decoding, clustering).
// Errors: Invalid outside 0 to 1024.
func SetNumThreads(n int) error {
	if err := checkThreads(n); err != nil {
		return err
	}
	defaultThreads.Store(int32(n))
	if n == 0 {
		n = runtime.NumCPU()
	}
	runtime.GOMAXPROCS(n)
	return nil
}

// threads resolves an option: its own number, else SetNumThreads', else all cores.
func threads(n int) int {
	if n > 0 {
		return n
	}
	if d := int(defaultThreads.Load()); d > 0 {
		return d
	}
	return runtime.GOMAXPROCS(0)
}

func checkThreads(n int) error {
	const maxThreads = 1024 // far above any one machine; catches garbage
	if n < 0 || n > maxThreads {
		return errs.New(errs.Invalid, "dsl: threads: got %d, want 0 (all cores) to %d", n, maxThreads)
	}
	return nil
}
