package driver

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

// Use makes the context current on this operating-system thread.
func (c *Context) Use() error {
	return failed(cu.SetCurrentContext(c.handle), "making the context current")
}

// Drop leaves no context current on this thread.
func (c *Context) Drop() error {
	return failed(cu.SetCurrentContext(cu.CUContext{}), "leaving the context")
}

// Release lets the context go.
func (c *Context) Release() error {
	return failed(c.device.ReleasePrimaryCtx(), "releasing the context")
}
