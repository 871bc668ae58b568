package cuda

import (
	"fmt"
	"sync"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
)

// device is an opened GPU. It stays open while the process lives: its primary context is shared with everybody else in the process.
type device struct {
	ordinal int
	env     string // see Backend.Environment
	props   driver.Properties
	context *driver.Context
	module  *driver.Module
	thread  *osthread.Thread // where stores are read and written
	copier

	// capturing is held by whoever records a graph, and by whoever closes what makes the driver wait for the whole device: that can spoil a
	// capture, whatever its mode.
	capturing sync.Mutex

	mu    sync.Mutex
	tuned map[nvlib.Conv]string // by convolution: the name of the kernel that was chosen
}

var opened = struct {
	sync.Mutex
	devices map[int]*device
}{devices: map[int]*device{}}

func openDevice(ordinal int) (*device, error) {
	opened.Lock()
	defer opened.Unlock()
	if d := opened.devices[ordinal]; d != nil {
		return d, nil
	}
	info, err := driver.Open()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= info.Devices {
		return nil, errs.New(errs.Device, "cuda: device %d: there are %d GPUs, numbered from 0", ordinal, info.Devices)
	}
	libs, err := nvlib.Open(info.Version)
	if err != nil {
		return nil, err
	}
	d := &device{ordinal: ordinal, tuned: map[nvlib.Conv]string{}}
	if d.props, err = driver.Device(ordinal); err != nil {
		return nil, err
	}
	d.env = fmt.Sprintf("%s (%d.%d), driver %d, cuDNN %s, cuBLAS %s", d.props.Name, d.props.Major, d.props.Minor, info.Version, libs.CUDNN.Version, libs.CUBLAS.Version)
	if d.thread, err = osthread.Start("cuda", d.begin, func() {}); err != nil {
		return nil, err
	}
	opened.devices[ordinal] = d
	return d, nil
}

// stagingBytes is the size of a copier's memory.
const stagingBytes = 4 << 20

// begin runs on the device's thread.
func (d *device) begin() (err error) {
	if d.context, err = driver.Retain(d.ordinal); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.end()
		}
	}()
	if err := d.context.Use(); err != nil {
		return err
	}
	if d.stream, err = driver.NewStream(); err != nil {
		return err
	}
	if d.staging, err = driver.HostAlloc(stagingBytes); err != nil {
		return err
	}
	text, name, err := kernels.PTX(d.props.Major, d.props.Minor)
	if err != nil {
		return err
	}
	if d.module, err = driver.LoadModule(text); err != nil {
		return errs.Wrap(errs.Device, err, "cuda: %s cannot use the kernels of %s", d.props.Name, name)
	}
	return nil
}

// end frees what a begin that failed had made. Nothing could be done about an error here.
func (d *device) end() {
	if d.staging != nil {
		driver.HostFree(d.staging)
	}
	if d.stream != nil {
		d.stream.Close()
	}
	d.context.Drop()
	d.context.Release()
}

// copier copies between any memory and the device, on the thread that it belongs to.
type copier struct {
	stream  *driver.Stream
	staging unsafe.Pointer // pinned memory
}

// copyIn copies to the device and returns when the data are there: a plain copy would return when they have been read, which no other stream waits for.
func (c *copier) copyIn(dst driver.Ptr, src unsafe.Pointer, bytes int64) error {
	for at := int64(0); at < bytes; at += stagingBytes {
		n := min(stagingBytes, bytes-at)
		copy(unsafe.Slice((*byte)(c.staging), n), unsafe.Slice((*byte)(unsafe.Add(src, at)), n))
		if err := c.stream.CopyIn(dst+driver.Ptr(at), c.staging, n); err != nil {
			return err
		}
		if err := c.stream.Synchronize(); err != nil {
			return err
		}
	}
	return nil
}

// copyOut copies from the device and returns when the data are there.
func (c *copier) copyOut(dst unsafe.Pointer, src driver.Ptr, bytes int64) error {
	for at := int64(0); at < bytes; at += stagingBytes {
		n := min(stagingBytes, bytes-at)
		if err := c.stream.CopyOut(c.staging, src+driver.Ptr(at), n); err != nil {
			return err
		}
		if err := c.stream.Synchronize(); err != nil {
			return err
		}
		copy(unsafe.Slice((*byte)(unsafe.Add(dst, at)), n), unsafe.Slice((*byte)(c.staging), n))
	}
	return nil
}

// do runs something on the device's thread.
func (d *device) do(job func() error) error { return d.thread.Do(osthread.NewJob(job)) }

// choice is the name of the kernel that was chosen for a convolution on this device, "" for none yet.
func (d *device) choice(c nvlib.Conv) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tuned[c]
}

// choose makes a kernel everybody's choice, unless somebody was faster: it returns the choice.
func (d *device) choose(c nvlib.Conv, kernel string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if first, ok := d.tuned[c]; ok {
		return first
	}
	d.tuned[c] = kernel
	return kernel
}
