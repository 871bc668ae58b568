package cuda

import (
	"context"
	"unsafe"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/errs"
)

// partialBytes bounds the sums of parts of the rows.
const partialBytes = 64 << 20

// assignment is the device's memory for assigning rows to k centres.
type assignment struct {
	memory
	k, parts int

	centres, nearest, distances, partial, sums driver.Ptr
}

// Assign finds the rows' nearest centres, adding up the rows of each over parts of the rows, then the parts.
func (a *array) Assign(ctx context.Context, centres []float32, nearest []int32, distances, sums []float32) error {
	k, err := a.count(centres)
	if err != nil {
		return err
	}
	if k < 1 || len(nearest) != a.n || len(distances) != a.n || len(sums) != len(centres) {
		return errs.New(errs.Invalid, "cuda: array: assign: got %d centres, room for %d and %d rows and %d sums, want one or more, [%d], [%d] and [%d, %d]",
			k, len(nearest), len(distances), len(sums), a.n, a.n, k, a.dim)
	}
	return a.do(func() error {
		if ctx.Err() != nil {
			return errs.Wrap(errs.Cancelled, ctx.Err(), "cuda: cancelled")
		}
		if err := a.roomFor(k); err != nil {
			return err
		}
		if err := a.copyIn(a.assign.centres, unsafe.Pointer(&centres[0]), 4*int64(len(centres))); err != nil {
			return err
		}
		return a.assignRows(nearest, distances, sums)
	})
}

func (a *array) assignRows(nearest []int32, distances, sums []float32) error {
	s := &a.assign
	err := a.launch("nearest_centres", grid{s.parts, 1}, append([]uint64{uint64(a.rows), uint64(s.centres), uint64(s.nearest), uint64(s.distances),
		uint64(s.partial)}, numbers(a.n, s.k, a.dim)...)...)
	if err != nil {
		return err
	}
	err = a.launch("channel_sum_final", grid{kernels.FinalGrid(s.k * a.dim), 1}, uint64(s.partial), uint64(s.sums), uint64(s.parts), uint64(s.k*a.dim))
	if err != nil {
		return err
	}
	if err := a.copyOut(unsafe.Pointer(&nearest[0]), s.nearest, 4*int64(a.n)); err != nil {
		return err
	}
	if err := a.copyOut(unsafe.Pointer(&distances[0]), s.distances, 4*int64(a.n)); err != nil {
		return err
	}
	return a.copyOut(unsafe.Pointer(&sums[0]), s.sums, 4*int64(len(sums)))
}

// roomFor allocates what k centres need, once for each k.
func (a *array) roomFor(k int) error {
	s := &a.assign
	if s.k == k {
		return nil
	}
	a.device.capturing.Lock()
	err := s.free()
	a.device.capturing.Unlock()
	*s = assignment{}
	if err != nil {
		return err
	}
	width := int64(k) * int64(a.dim)
	parts := kernels.Parts(a.n, partialBytes/(4*width))
	for _, m := range []struct {
		at      *driver.Ptr
		numbers int64
	}{{&s.centres, width}, {&s.nearest, int64(a.n)}, {&s.distances, int64(a.n)}, {&s.partial, int64(parts) * width}, {&s.sums, width}} {
		if *m.at, err = s.alloc(4 * m.numbers); err != nil {
			return err
		}
	}
	s.k, s.parts = k, parts
	return nil
}
