// Command timed is the tasks of package network as a C library, built with -buildmode=c-shared: case.py runs them in PyTorch's process, where both
// share a context and its profiler sees both. One task is open at a time.
package main

// #include <stdint.h>
import "C"

import (
	"fmt"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/tests/internal/network"
)

var (
	task    *network.Task
	message *C.char
)

func main() {}

// status keeps an error for timed_message; C gets 0 for none.
func status(err error) C.int {
	if err == nil {
		return 0
	}
	message = C.CString(err.Error()) // the first error ends the program, which frees it
	return 1
}

// timed_message is the last error.
//
//export timed_message
func timed_message() *C.char { return message }

// timed_open compiles a task (network.NewTask) of the network in a folder.
//
//export timed_open
func timed_open(folder, kind, name, precision *C.char, threads C.int) C.int {
	return status(func() error {
		be, err := network.OpenBackend(C.GoString(name), C.GoString(precision))
		if err != nil {
			return err
		}
		n, err := network.Load(C.GoString(folder))
		if err != nil {
			return err
		}
		task, err = n.NewTask(C.GoString(kind), be, backend.Options{Threads: int(threads)})
		return err
	}())
}

// timed_run computes iterations and says how many seconds they took, and the loss on the host of them.
//
//export timed_run
func timed_run(iterations C.int, seconds, host *C.double) C.int {
	return status(func() error {
		total, loss, err := task.Run(int(iterations))
		*seconds, *host = C.double(total.Seconds()), C.double(loss.Seconds())
		return err
	}())
}

// timed_embedding copies the last iteration's embedding.
//
//export timed_embedding
func timed_embedding(out *C.float, count C.int) C.int {
	return status(func() error {
		e, err := task.Embedding()
		if err == nil && len(e) != int(count) {
			err = fmt.Errorf("timed: an embedding of %d numbers, want %d", len(e), int(count))
		}
		if err == nil {
			copy(unsafe.Slice((*float32)(unsafe.Pointer(out)), len(e)), e)
		}
		return err
	}())
}

// timed_close frees the task.
//
//export timed_close
func timed_close() {
	if task != nil {
		task.Close()
		task = nil
	}
}
