// Package errs is the one error type of libdsl.
//
// A Kind is at once the C status number and the code of the Python and the C++ exception, and never changes its
// number. Messages read `package: object "name": got X, want Y` and name files by base name only, because paths can
// carry patient names.
package errs

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Kind says what went wrong, in the numbers of include/dsl.h.
type Kind int32

// The kinds; the numbers are part of the ABI.
const (
	OK             Kind = 0
	Invalid        Kind = 1
	NotFound       Kind = 2
	Corrupt        Kind = 3
	Unsupported    Kind = 4
	Device         Kind = 5
	OutOfMemory    Kind = 6
	Cancelled      Kind = 7
	IO             Kind = 8
	BufferTooSmall Kind = 9
	Forked         Kind = 10
	Poisoned       Kind = 11
	AbiMismatch    Kind = 12
	Internal       Kind = 13
)

var names = [...]string{"ok", "invalid argument", "not found", "corrupt", "unsupported", "device error",
	"out of memory", "cancelled", "input/output error", "buffer too small", "used after fork", "poisoned",
	"ABI mismatch", "internal error"}

func (k Kind) String() string {
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", int32(k))
	}
	return names[k]
}

// Error is a kind, a message for a person, and the cause when there is one.
type Error struct {
	Kind Kind
	Msg  string
	Err  error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// New makes an error of the given kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Wrap puts a kind and a message before a cause.
func Wrap(kind Kind, cause error, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Err: cause}
}

// KindOf is OK for nil, the kind of the outermost *Error in the chain, and Internal for any other error.
func KindOf(err error) Kind {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Recover turns a panic into an Internal error. Every goroutine of libdsl and every exported function defers it:
//
//	defer errs.Recover(&err)
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = New(Internal, "internal error, please report it: %v\n%s", r, debug.Stack())
	}
}
