package cuda

import (
	"sync"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/cuda/nvlib"
	"libdsl/lib/errs"
	"libdsl/lib/internal/osthread"
)

// device is an opened GPU. It stays open while the process lives: its primary context is shared with everybody else in the process.
type device struct {
	ordinal int
	props   driver.Properties
	context *driver.Context
	module  *driver.Module
	thread  *osthread.Thread // where stores are read and written

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
	if _, err := nvlib.Open(info.Version); err != nil {
		return nil, err
	}
	d := &device{ordinal: ordinal, tuned: map[nvlib.Conv]string{}}
	if d.props, err = driver.Device(ordinal); err != nil {
		return nil, err
	}
	if d.thread, err = osthread.Start("cuda", d.begin, func() {}); err != nil {
		return nil, err
	}
	opened.devices[ordinal] = d
	return d, nil
}

// begin runs on the device's thread.
func (d *device) begin() error {
	var err error
	if d.context, err = driver.Retain(d.ordinal); err != nil {
		return err
	}
	if err := d.context.Use(); err != nil {
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

// do runs something on the device's thread.
func (d *device) do(job func() error) error { return d.thread.Do(osthread.NewJob(job)) }

// choice is the name of the kernel that was chosen for a convolution on this device, "" for none yet.
func (d *device) choice(c nvlib.Conv) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tuned[c]
}

func (d *device) choose(c nvlib.Conv, kernel string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tuned[c] = kernel
}
