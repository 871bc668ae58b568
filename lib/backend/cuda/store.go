package cuda

import (
	"errors"
	"sync"
	"unsafe"

	"libdsl/lib/backend"
	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// store keeps all its tensors in one piece of device memory. Its version changes with every write, so that programs know when to pack weights again.
type store struct {
	device *device
	index  *backend.Tensors
	at     []driver.Ptr
	base   driver.Ptr

	mu      sync.Mutex
	version int64
	updates *driver.Event // the last update that a program began; nil for none
}

// alignment of tensors in memory, in bytes: what vector loads and cuDNN want.
const alignment = 256

func aligned(bytes int64) int64 { return (bytes + alignment - 1) / alignment * alignment }

// NewStore makes zeroed tensors in one allocation.
func (b Backend) NewStore(tensors []ir.Tensor) (backend.Store, error) {
	index, err := backend.NewTensors("cuda", tensors)
	if err != nil {
		return nil, err
	}
	s := &store{device: b.device, index: index, version: 1}
	total := int64(alignment)
	for i := range tensors {
		s.at = append(s.at, driver.Ptr(total)) // made an address below
		total += aligned(plan.Dense(&tensors[i]))
	}
	if err := b.device.do(func() error { return s.allocate(total) }); err != nil {
		return nil, err
	}
	for i := range s.at {
		s.at[i] += s.base
	}
	return s, nil
}

func (s *store) allocate(bytes int64) error {
	base, err := driver.Alloc(bytes)
	if err != nil {
		return err
	}
	if err := zero(s.device.stream, base, bytes); err != nil {
		return errors.Join(err, driver.Free(base))
	}
	s.base = base
	return nil
}

// zero clears memory and waits for it.
func zero(stream *driver.Stream, at driver.Ptr, bytes int64) error {
	if err := stream.Zero(at, bytes); err != nil {
		return err
	}
	return stream.Synchronize()
}

// Close may be called twice.
func (s *store) Close() error {
	return s.device.do(func() error {
		if _, err := s.settle(nil); errs.KindOf(err) == errs.Invalid {
			return nil // closed before
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		base := s.base
		s.base = 0
		return driver.Free(base)
	})
}

// settle waits for the update that runs, unless it is known to lie before in the caller's stream, and returns the version. Events are waited for under
// the lock, so that none is closed meanwhile. Errors: Invalid for a closed store.
func (s *store) settle(known *driver.Event) (version int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base == 0 {
		return 0, errs.New(errs.Invalid, "cuda: the store is closed")
	}
	if s.updates != nil && s.updates != known {
		err = s.updates.Synchronize()
	}
	return s.version, err
}

// access runs a copy of one tensor on the device's thread, after the update that runs.
func (s *store) access(name string, n int, d ir.DType, do func(at driver.Ptr, bytes int64) error) error {
	i, err := s.index.Elements(name, n, d)
	if err != nil || n == 0 {
		return err
	}
	return s.device.do(func() error {
		if _, err := s.settle(nil); err != nil {
			return err
		}
		return do(s.at[i], int64(n)*4)
	})
}

func (s *store) write(name string, n int, d ir.DType, src unsafe.Pointer) error {
	err := s.access(name, n, d, func(at driver.Ptr, bytes int64) error { return s.device.copyIn(at, src, bytes) })
	if err == nil {
		s.changed(nil)
	}
	return err
}

func (s *store) read(name string, n int, d ir.DType, dst unsafe.Pointer) error {
	return s.access(name, n, d, func(at driver.Ptr, bytes int64) error { return s.device.copyOut(dst, at, bytes) })
}

func (s *store) Write(name string, src []float32) error {
	return s.write(name, len(src), ir.F32, unsafe.Pointer(unsafe.SliceData(src)))
}

func (s *store) Read(name string, dst []float32) error {
	return s.read(name, len(dst), ir.F32, unsafe.Pointer(unsafe.SliceData(dst)))
}

func (s *store) WriteInts(name string, src []int32) error {
	return s.write(name, len(src), ir.I32, unsafe.Pointer(unsafe.SliceData(src)))
}

func (s *store) ReadInts(name string, dst []int32) error {
	return s.read(name, len(dst), ir.I32, unsafe.Pointer(unsafe.SliceData(dst)))
}

// bind returns the memory of a program's Param or State tensor.
func (s *store) bind(t *ir.Tensor) (driver.Ptr, error) {
	i, err := s.index.Match(t)
	if err != nil {
		return 0, err
	}
	return s.at[i], nil
}

// changed makes the version a new one; an update that still runs is waited for by whoever reads.
func (s *store) changed(update *driver.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	if update != nil {
		s.updates = update
	}
}

// forget drops an event that is about to be closed.
func (s *store) forget(update *driver.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.updates == update {
		s.updates = nil
	}
}
