package index

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/internal/par"
)

// deviceQueries is the number of queries that go to a device at a time.
const deviceQueries = 1024

// runOnDevice is run with a device's candidates: the rows nearest by Euclidean distance, d² = 2 − 2·cosine for unit rows. As the device leaves none out, rows of the
// query's id or group are among them.
func (s *scan) runOnDevice(ctx context.Context) error {
	most := min(backend.MaxNeighbours, s.n)
	rows, squared := make([]int32, deviceQueries*most), make([]float32, deviceQueries*most)
	total := len(s.queries) / s.dim
	for from := 0; from < total; from += deviceQueries {
		n := min(deviceQueries, total-from)
		err := s.device.Nearest(ctx, s.queries[from*s.dim:(from+n)*s.dim], most, rows[:n*most], squared[:n*most])
		if err != nil {
			return err
		}
		err = par.For(ctx, n, 1, s.threads, func(worker, q, _ int) {
			candidates, rest := s.candidates(from+q, rows[q*most:(q+1)*most], squared[q*most:(q+1)*most])
			s.found(from+q, s.decide(ctx, &s.scratch[worker], from+q, candidates, rest))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// candidates are the device's rows but for those that are left out; rest is what decide wants.
func (s *scan) candidates(query int, rows []int32, squared []float32) (out []scored[float32], rest float64) {
	for i, row := range rows {
		if !s.out(query, int(row)) {
			out = append(out, scored[float32]{1 - squared[i]/2, row})
		}
	}
	if len(rows) == s.n {
		return out, minusInf
	}
	// A squared distance is off by dim + 4 roundings of at most 4·2⁻²⁴, its half by half of that; once more for unit lengths.
	return out, 1 - float64(squared[len(squared)-1])/2 + 2*productError(s.dim)
}
