package driver

// #include <cuda.h>
import "C"

import (
	"fmt"

	"gorgonia.org/cu"
)

// Context is a GPU's primary context.
type Context struct {
	device cu.Device
	handle cu.CUContext
}

// Retain makes sure that the primary context exists until Release.
func Retain(ordinal int) (*Context, error) {
	d, err := cu.GetDevice(ordinal)
	if err != nil {
		return nil, failed(err, fmt.Sprintf("device %d", ordinal))
	}
	c, err := d.RetainPrimaryCtx()
	if err != nil {
		return nil, failed(err, fmt.Sprintf("context of device %d", ordinal))
	}
	return &Context{d, c}, nil
}

// Use makes the context current on this operating-system thread. A capture that somebody else in the process is making (PyTorch's is process-wide)
// does not concern the thread's calls.
func (c *Context) Use() error {
	if err := cu.SetCurrentContext(c.handle); err != nil {
		return failed(err, "making the context current")
	}
	mode := C.CUstreamCaptureMode(C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
	return check(C.cuThreadExchangeStreamCaptureMode(&mode), "the thread's capture mode")
}

// Drop leaves no context current on this thread.
func (c *Context) Drop() error {
	return failed(cu.SetCurrentContext(cu.CUContext{}), "leaving the context")
}

// Release lets the context go.
func (c *Context) Release() error {
	return failed(c.device.ReleasePrimaryCtx(), "releasing the context")
}
