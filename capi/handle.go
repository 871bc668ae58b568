package main

import (
	"sync"

	"libdsl/lib/dsl"
	"libdsl/lib/errs"
)

// A handle is a number that looks like a pointer to C: a magic number for its type above a serial number that is never
// used again. It points nowhere, so a freed, foreign or mistyped handle is found in the table, or not, without touching
// memory. No pointer of a user-space program has these upper bits.
const (
	magicShift = 48

	magicImage   = 0xD510
	magicDataset = 0xD511
	magicModel   = 0xD512
	magicSession = 0xD513
	magicReport  = 0xD514
	magicIndex   = 0xD515
)

// report is a finished JSON text.
type report []byte

type entry struct {
	object   any
	poisoned bool // guarded by table
}

var table = struct {
	sync.RWMutex
	serial uintptr
	live   map[uintptr]*entry
}{live: map[uintptr]*entry{}}

// magicOf says which handles hold a T, and what people call them.
func magicOf[T any]() (magic uintptr, name string) {
	switch any((*T)(nil)).(type) {
	case **dsl.Image:
		return magicImage, "image"
	case **dsl.Dataset:
		return magicDataset, "dataset"
	case **dsl.Model:
		return magicModel, "model"
	case **dsl.Session:
		return magicSession, "session"
	case **dsl.Index:
		return magicIndex, "index"
	case *report:
		return magicReport, "report"
	}
	panic("capi: a type without handles")
}

// create puts an object into the table.
func create[T any](object T) uintptr {
	magic, _ := magicOf[T]()
	table.Lock()
	defer table.Unlock()
	table.serial++
	h := magic<<magicShift | table.serial
	table.live[h] = &entry{object: object}
	return h
}

// remove takes an object out of the table; 0 (NULL) gives false without an error.
func remove[T any](h uintptr) (object T, ok bool, err error) {
	if h == 0 {
		return object, false, nil
	}
	table.Lock()
	defer table.Unlock()
	e, err := find[T](h)
	if err != nil {
		return object, false, err
	}
	delete(table.live, h)
	return e.object.(T), true, nil
}

// find looks a handle up; the caller holds the table.
func find[T any](h uintptr) (*entry, error) {
	magic, name := magicOf[T]()
	switch e, ok := table.live[h]; {
	case h == 0:
		return nil, errs.New(errs.Invalid, "capi: %s: got NULL, want a handle", name)
	case h>>magicShift != magic:
		return nil, errs.New(errs.Invalid, "capi: %s: got something else, want a %s handle", name, name)
	case !ok:
		return nil, errs.New(errs.Invalid, "capi: %s: the handle was freed", name)
	default:
		return e, nil
	}
}

// call is one run of an exported function.
type call struct {
	receiver *entry // the first handle used
}

// use gives the object of a handle. Errors: Invalid, Poisoned.
func use[T any](c *call, h uintptr) (object T, err error) {
	table.RLock()
	defer table.RUnlock()
	e, err := find[T](h)
	if err != nil {
		return object, err
	}
	if e.poisoned {
		_, name := magicOf[T]()
		return object, errs.New(errs.Poisoned, "capi: %s: an earlier call failed inside the library; free it and make a new one", name)
	}
	if c.receiver == nil {
		c.receiver = e
	}
	return e.object.(T), nil
}

// run is guard without C, for tests.
func (c *call) run(body func(c *call) error) (err error) {
	defer func() {
		if errs.KindOf(err) == errs.Internal && c.receiver != nil {
			table.Lock()
			c.receiver.poisoned = true
			table.Unlock()
		}
	}()
	defer errs.Recover(&err)
	return body(c)
}

func liveHandles() int {
	table.RLock()
	defer table.RUnlock()
	return len(table.live)
}
