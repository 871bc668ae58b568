package backend

import "context"

// MaxNeighbours is the most that Array.Nearest finds.
const MaxNeighbours = 64

// ArrayBackend is a Backend whose device also computes with big arrays of float32 rows, for search, clustering and scores. On the CPU their own
// packages do that, in float64 where it matters; a device is for arrays so large that they pay for the way there.
type ArrayBackend interface {
	Backend
	// NewArray copies rows x [n, dim] to the device. Errors: Device, OutOfMemory, Invalid for rows that are not whole or none.
	NewArray(x []float32, dim int) (Array, error)
}

// Array is rows [n, dim] in a device's memory. It may be used from any goroutine; calls wait for one another. Sums are float32, in an order that
// depends on shapes alone: equal rows have equal distances, and equal calls equal results. Errors: Cancelled, Device; Invalid for shapes, and after
// Close.
type Array interface {
	// Distances writes the squared Euclidean distances of queries [m, dim] to all rows to out [m, n]; equal rows give 0.
	Distances(ctx context.Context, queries, out []float32) error
	// Nearest writes the k nearest rows of each of queries [m, dim] and their squared distances, [m, k] each, the nearest first, of equally near ones the
	// lowest row. k is at most MaxNeighbours and n.
	Nearest(ctx context.Context, queries []float32, k int, rows []int32, distances []float32) error
	// Assign writes the nearest of centres [k, dim], the first of equals, of each row, its squared distance, [n] each, and for each centre the sum of
	// its rows, [k, dim].
	Assign(ctx context.Context, centres []float32, nearest []int32, distances, sums []float32) error
	// Close frees the memory; it may be called twice.
	Close() error
}

// worthwhile is the number of multiply-adds from which a device is used: about half a second of one core, against a few milliseconds that
// it takes to copy rows to a GPU. It is an estimate.
const worthwhile = 1 << 31

// Pays reports whether so many multiply-adds (queries · rows · dim, or rows · centres · dim in all iterations) are worth the way to a device.
func Pays(multiplyAdds float64) bool { return multiplyAdds >= worthwhile }

// Arrays is b if it computes with arrays and so many multiply-adds pay, else nil: then the CPU does it.
func Arrays(b Backend, multiplyAdds float64) ArrayBackend {
	if a, ok := b.(ArrayBackend); ok && Pays(multiplyAdds) {
		return a
	}
	return nil
}
