package cluster

import (
	"math"
	"slices"

	"libdsl/lib/internal/par"
	"libdsl/lib/internal/simd"
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
	l.total = least
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
	return l.tiles(centres, func(w *scratch, lo, hi int) {
		for t, row := range candidates {
			trial, norm := l.trial[t*l.n:(t+1)*l.n], l.norms[row]
			for i := lo; i < hi; i++ {
				trial[i] = min(l.near[i], max(0, l.norms[i]+norm-2*w.dots[(i-lo)*len(candidates)+t]))
			}
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
	target, sum, last := stream.Float64()*l.total, 0.0, otherwise
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

// findNearest gives each row its nearest centre, and adds it to that centre's sum.
func (l *lloyd) findNearest() error {
	if l.device != nil {
		return l.device.findNearest(l)
	}
	clear(l.sums)
	l.summed = l.sums != nil
	return l.tiles(l.centres, func(w *scratch, lo, hi int) {
		k := len(l.cnorms)
		for i := lo; i < hi; i++ {
			best, least := 0, math.Inf(1)
			for c, p := range w.dots[(i-lo)*k : (i-lo+1)*k] {
				if d := l.cnorms[c] - 2*p; d < least {
					best, least = c, d
				}
			}
			l.assign[i], l.near[i], w.nearest[i-lo] = best, max(0, l.norms[i]+least), int32(best)
		}
		if l.summed {
			simd.AddRows(l.x[lo*l.dim:hi*l.dim], l.dim, 0, l.dim, w.nearest[:hi-lo], l.sums[lo/rowsPerSum*k*l.dim:])
		}
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
	l.summed = false
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
	simd.Squares(l.centres, l.dim, l.cnorms)
	return nil
}

// average computes the means, each sum in the order of the rows.
func (l *lloyd) average() error {
	sums := make([]float64, len(l.centres))
	if l.summed {
		for at := 0; at < len(l.sums); at += len(sums) {
			for j, v := range l.sums[at : at+len(sums)] {
				sums[j] += v
			}
		}
	} else if err := l.addRows(sums); err != nil {
		return err
	}
	for c, count := range l.counts {
		for j := c * l.dim; j < (c+1)*l.dim && count > 0; j++ {
			l.centres[j] = sums[j] / float64(count)
		}
	}
	return nil
}

// addRows adds up each cluster's rows. Workers share the columns out.
func (l *lloyd) addRows(sums []float64) error {
	of := make([]int32, l.n)
	for i, c := range l.assign {
		of[i] = int32(c)
	}
	columns := max(8, (l.dim+2*par.Threads(l.opt.Threads)-1)/(2*par.Threads(l.opt.Threads)))
	return par.For(l.ctx, l.dim, columns, l.opt.Threads, func(_, from, to int) {
		for lo := 0; lo < l.n && l.ctx.Err() == nil; lo += rowsPerSum {
			hi := min(lo+rowsPerSum, l.n)
			simd.AddRows(l.x[lo*l.dim:hi*l.dim], l.dim, from, to, of[lo:hi], sums)
		}
	})
}
