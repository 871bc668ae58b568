package cluster

import (
	"math"
	"slices"

	"libdsl/lib/internal/par"
	"libdsl/lib/rng"
)

// run is one restart.
func (l *lloyd) run(stream *rng.Stream) (*Result, error) {
	if err := l.seed(stream); err != nil {
		return nil, err
	}
	for i := range l.before {
		l.before[i] = -1
	}
	iterations := 0
	for {
		if err := l.assignRows(); err != nil {
			return nil, err
		}
		iterations++
		if slices.Equal(l.assign, l.before) || iterations == l.opt.MaxIter {
			break
		}
		copy(l.before, l.assign)
		if err := l.moveCentres(); err != nil {
			return nil, err
		}
	}
	r := &Result{Assignment: slices.Clone(l.assign), Centres: slices.Clone(l.centres), Iterations: iterations}
	for _, d := range l.near {
		r.Inertia += d
	}
	return r, nil
}

// seed draws the first centre uniformly. For each further one it draws 2 + ⌊ln K⌋ candidates with probability proportional to the squared
// distance from the centres so far (uniformly when all rows coincide with centres) and takes the one that leaves the least sum of squared
// distances, the first of equals: the greedy variant of Arthur and Vassilvitskii, section 5.
func (l *lloyd) seed(stream *rng.Stream) error {
	for i := range l.near {
		l.near[i] = math.Inf(1)
	}
	trials := 1
	for c := range l.opt.K {
		for t := range trials {
			row := stream.IntN(l.n)
			if c > 0 {
				row = l.draw(stream, row)
			}
			l.candidates[t] = row
		}
		if err := l.settle(c, l.candidates[:trials]); err != nil {
			return err
		}
		trials = len(l.candidates)
	}
	return nil
}

// settle makes the best of the candidate rows centre c.
func (l *lloyd) settle(c int, candidates []int) error {
	if err := l.try(candidates); err != nil {
		return err
	}
	best, least := 0, math.Inf(1)
	for t := range candidates {
		var sum float64
		for _, d := range l.trial[t*l.n : (t+1)*l.n] {
			sum += d
		}
		if sum < least {
			best, least = t, sum
		}
	}
	copy(l.near, l.trial[best*l.n:(best+1)*l.n])
	copy(l.centres[c*l.dim:(c+1)*l.dim], l.wide[best*l.dim:(best+1)*l.dim])
	l.cnorms[c] = l.norms[candidates[best]]
	return nil
}

// try fills trial for the candidate rows, and wide with them.
func (l *lloyd) try(candidates []int) error {
	centres := l.rowsAsCentres(candidates)
	if l.device != nil {
		return l.device.try(l, len(candidates))
	}
	return l.products(centres, func(i int, dots []float64) {
		for t, p := range dots {
			l.trial[t*l.n+i] = min(l.near[i], max(0, l.norms[i]+l.norms[candidates[t]]-2*p))
		}
	})
}

// rowsAsCentres copies rows in float64.
func (l *lloyd) rowsAsCentres(rows []int) []float64 {
	for t, row := range rows {
		for j, v := range l.x[row*l.dim : (row+1)*l.dim] {
			l.wide[t*l.dim+j] = float64(v)
		}
	}
	return l.wide[:len(rows)*l.dim]
}

// draw returns a row with probability proportional to near, or otherwise when near is zero everywhere.
func (l *lloyd) draw(stream *rng.Stream, otherwise int) int {
	var total float64
	for _, d := range l.near {
		total += d
	}
	target, sum, last := stream.Float64()*total, 0.0, otherwise
	for i, d := range l.near {
		if d == 0 {
			continue
		}
		if sum, last = sum+d, i; sum > target {
			break
		}
	}
	return last
}

// assignRows gives each row its nearest centre, then fills empty clusters.
func (l *lloyd) assignRows() error {
	if err := l.findNearest(); err != nil {
		return err
	}
	clear(l.counts)
	for _, c := range l.assign {
		l.counts[c]++
	}
	for c, count := range l.counts {
		if count == 0 {
			l.fill(c)
		}
	}
	return nil
}

// findNearest gives each row its nearest centre.
func (l *lloyd) findNearest() error {
	if l.device != nil {
		return l.device.findNearest(l)
	}
	return l.products(l.centres, func(i int, dots []float64) {
		best, least := 0, math.Inf(1)
		for c, p := range dots {
			if d := l.cnorms[c] - 2*p; d < least {
				best, least = c, d
			}
		}
		l.assign[i], l.near[i] = best, max(0, l.norms[i]+least)
	})
}

// fill moves the row farthest from its centre into the empty cluster c, unless that would empty another or the row
// lies on its centre.
func (l *lloyd) fill(c int) {
	row, far := -1, 0.0
	for i, d := range l.near {
		if d > far && l.counts[l.assign[i]] > 1 {
			row, far = i, d
		}
	}
	if row < 0 {
		return
	}
	if l.device != nil {
		l.device.move(l, row, l.assign[row], c)
	}
	l.counts[l.assign[row]]--
	l.counts[c]++
	l.assign[row], l.near[row] = c, 0
}

// moveCentres puts each centre to the mean of its rows; an empty cluster's stays.
func (l *lloyd) moveCentres() error {
	if l.device != nil {
		l.device.sumsToCentres(l)
	} else if err := l.average(); err != nil {
		return err
	}
	for c := range l.cnorms {
		l.cnorms[c] = 0
		for _, v := range l.centres[c*l.dim : (c+1)*l.dim] {
			l.cnorms[c] += v * v
		}
	}
	return nil
}

// average computes the means. Workers share the columns out, so that each sum runs over the rows in order.
func (l *lloyd) average() error {
	columns := max(8, (l.dim+2*par.Threads(l.opt.Threads)-1)/(2*par.Threads(l.opt.Threads)))
	return par.For(l.ctx, l.dim, columns, l.opt.Threads, func(_, lo, hi int) {
		for c, count := range l.counts {
			if count > 0 {
				clear(l.centres[c*l.dim+lo : c*l.dim+hi])
			}
		}
		for i, c := range l.assign {
			centre := l.centres[c*l.dim+lo : c*l.dim+hi]
			for j, v := range l.x[i*l.dim+lo : i*l.dim+hi] {
				centre[j] += float64(v)
			}
		}
		for c, count := range l.counts {
			for j := c*l.dim + lo; j < c*l.dim+hi && count > 0; j++ {
				l.centres[j] /= float64(count)
			}
		}
	})
}
