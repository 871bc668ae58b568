package cluster

import "libdsl/lib/backend"

// deviceRows are a device's copy of the rows, and what goes to and from it: float32, where the CPU computes in float64.
type deviceRows struct {
	rows      backend.Array
	distances []float32 // [candidates, N] while seeding, [N] afterwards
	centres   []float32 // [K, D], or the candidates
	sums      []float32 // [K, D], of the rows of each centre
	nearest   []int32   // [N]
}

func newDeviceRows(rows backend.Array, l *lloyd) *deviceRows {
	most := max(len(l.candidates), l.opt.K)
	return &deviceRows{rows: rows, distances: make([]float32, len(l.candidates)*l.n), centres: make([]float32, most*l.dim),
		sums: make([]float32, l.opt.K*l.dim), nearest: make([]int32, l.n)}
}

// try is lloyd.try for so many candidates, which lie in wide.
func (d *deviceRows) try(l *lloyd, candidates int) error {
	found := d.distances[:candidates*l.n]
	if err := d.rows.Distances(l.ctx, d.narrow(l.wide[:candidates*l.dim]), found); err != nil {
		return err
	}
	for i, v := range found {
		l.trial[i] = min(l.near[i%l.n], float64(v))
	}
	return nil
}

func (d *deviceRows) narrow(centres []float64) []float32 {
	out := d.centres[:len(centres)]
	for i, v := range centres {
		out[i] = float32(v)
	}
	return out
}

// findNearest is lloyd.findNearest; the sums of the rows of each centre come with it.
func (d *deviceRows) findNearest(l *lloyd) error {
	found := d.distances[:l.n]
	if err := d.rows.Assign(l.ctx, d.narrow(l.centres), d.nearest, found, d.sums); err != nil {
		return err
	}
	for i, c := range d.nearest {
		l.assign[i], l.near[i] = int(c), float64(found[i])
	}
	return nil
}

// move takes a row out of one centre's sum and into another's.
func (d *deviceRows) move(l *lloyd, row, from, to int) {
	for j, v := range l.x[row*l.dim : (row+1)*l.dim] {
		d.sums[from*l.dim+j] -= v
		d.sums[to*l.dim+j] += v
	}
}

// sumsToCentres makes means of the sums.
func (d *deviceRows) sumsToCentres(l *lloyd) {
	for c, count := range l.counts {
		for j := c * l.dim; j < (c+1)*l.dim && count > 0; j++ {
			l.centres[j] = float64(d.sums[j]) / float64(count)
		}
	}
}
