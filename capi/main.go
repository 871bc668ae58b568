// Package main is the C boundary of libdsl: handles, status numbers, panics caught; nothing else.
//
// shim.c implements include/dsl.h. Its functions refuse to run after fork(), copy option structs, and call the exported
// Go functions here, which take plain numbers and pointers, call package dsl, and turn errors into a status and a
// message. shim.c includes both dsl.h and cgo's generated header, so that either one drifting breaks the build.
package main

/*
#cgo CFLAGS: -std=c11 -D_POSIX_C_SOURCE=200809L -O2 -fvisibility=hidden -Wall -Wextra -Werror -Wno-unused-parameter
#cgo LDFLAGS: -lpthread
#include "shim.h"
*/
import "C"

import (
	"context"
	"time"

	"libdsl/lib/errs"
)

func main() {} // never runs: the package is built with -buildmode=c-shared

// guard runs an exported function's body: it catches panics, poisons the receiver after an internal error, and hands
// the message to the shim, which frees it.
func guard(message **C.char, body func(c *call) error) C.int32_t {
	c := &call{}
	err := c.run(body)
	if err == nil {
		return C.DSL_STATUS_OK
	}
	*message = C.CString(err.Error())
	return C.int32_t(errs.KindOf(err))
}

// watch makes a context that ends when the token is cancelled. stop must be called.
func watch(token C.uintptr_t) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	if token == 0 {
		return ctx, cancel
	}
	if C.shim_token_cancelled(token) != 0 {
		cancel()
		return ctx, cancel
	}
	go func() {
		const poll = 10 * time.Millisecond // a tenth of what the header promises
		ticker := time.NewTicker(poll)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if C.shim_token_cancelled(token) != 0 {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}
