package cuda

import (
	"errors"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
)

// memory is what a program allocated. Its methods run on the executor's thread.
type memory struct {
	device []driver.Ptr
	host   []unsafe.Pointer
}

// alloc is device memory, with whatever was in it: what is read before it is written shows on the emulated driver.
func (m *memory) alloc(bytes int64) (driver.Ptr, error) {
	p, err := driver.Alloc(aligned(max(bytes, 1)))
	if err != nil {
		return 0, err
	}
	m.device = append(m.device, p)
	return p, nil
}

// pin is zeroed host memory that the device copies from and to by itself.
func (m *memory) pin(bytes int64) (unsafe.Pointer, error) {
	p, err := driver.HostAlloc(max(bytes, 1))
	if err != nil {
		return nil, err
	}
	m.host = append(m.host, p)
	clear(unsafe.Slice((*byte)(p), bytes))
	return p, nil
}

func (m *memory) free() error {
	var err error
	for _, p := range m.device {
		err = errors.Join(err, driver.Free(p))
	}
	for _, p := range m.host {
		err = errors.Join(err, driver.HostFree(p))
	}
	m.device, m.host = nil, nil
	return err
}
