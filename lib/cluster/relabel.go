package cluster

import (
	"math"

	"libdsl/lib/errs"
)

// Relabel renumbers a new assignment into 0..k-1 so that as few images as possible change cluster against the old one,
// and returns it with the number of images that do. Images that are -1 in either are not counted and stay as they are.
//
// After a growth the old assignment uses 0..k-2 only: the old clusters keep their numbers, as far as they overlap with
// a new one, and the new cluster left over gets k-1, the newest learner. The overlap is maximised by Assign.
// Errors: errs.Invalid when the lengths differ or a cluster lies outside -1..k-1.
func Relabel(old, new []int, k int) (relabelled []int, moved int, err error) {
	if len(old) != len(new) || k < 1 {
		return nil, 0, errs.New(errs.Invalid, "cluster: relabel: got %d old and %d new images and k = %d, want as many of each and k of 1 or more",
			len(old), len(new), k)
	}
	cost := make([]float64, k*k) // minus the overlap of new cluster (row) and old cluster (column)
	for i, c := range new {
		if c < -1 || c >= k || old[i] < -1 || old[i] >= k {
			return nil, 0, errs.New(errs.Invalid, "cluster: relabel: image %d: got clusters %d and %d, want -1 to %d", i, old[i], c, k-1)
		}
		if c >= 0 && old[i] >= 0 {
			cost[c*k+old[i]]--
		}
	}
	number, err := Assign(cost, k, k)
	if err != nil {
		return nil, 0, err
	}
	relabelled = make([]int, len(new))
	for i, c := range new {
		relabelled[i] = -1
		if c >= 0 {
			relabelled[i] = number[c]
			if old[i] >= 0 && old[i] != number[c] {
				moved++
			}
		}
	}
	return relabelled, moved, nil
}

// Assign solves the assignment problem: it gives each row of cost [rows, cols] a column of its own so that the sum of
// the chosen costs is least. With more rows than columns, the rows left over get -1. O(n³) time by shortest augmenting
// paths (Kuhn 1955, Munkres 1957, in the form of Jonker and Volgenant 1987); equal inputs give equal results.
// Errors: errs.Invalid when cost is not rows·cols finite numbers.
func Assign(cost []float64, rows, cols int) ([]int, error) {
	if rows < 0 || cols < 0 || len(cost) != rows*cols {
		return nil, errs.New(errs.Invalid, "cluster: assign: got %d costs, want %d × %d", len(cost), rows, cols)
	}
	for i, v := range cost {
		if v-v != 0 {
			return nil, errs.New(errs.Invalid, "cluster: assign: cost %d, %d: got %v, want a finite number", i/cols, i%cols, v)
		}
	}
	out := make([]int, rows)
	for i := range out {
		out[i] = -1
	}
	if rows <= cols {
		for c, r := range match(rows, cols, func(r, c int) float64 { return cost[r*cols+c] }) {
			if r >= 0 {
				out[r] = c
			}
		}
		return out, nil
	}
	for r, c := range match(cols, rows, func(c, r int) float64 { return cost[r*cols+c] }) {
		out[r] = c
	}
	return out, nil
}

// match returns the row of each column, or -1, for rows ≤ cols. It keeps prices u, v with u_r + v_c ≤ cost(r, c), equal
// on matched pairs, and adds one row at a time along the cheapest alternating path. Column cols is the path's start.
func match(rows, cols int, cost func(r, c int) float64) []int {
	u, v := make([]float64, rows), make([]float64, cols+1)
	owner := make([]int, cols+1) // the row of each column
	for c := range owner {
		owner[c] = -1
	}
	slack, from, done := make([]float64, cols), make([]int, cols), make([]bool, cols+1)
	for r := range rows {
		owner[cols] = r
		clear(done)
		for c := range slack {
			slack[c] = math.Inf(1)
		}
		at := cols
		for owner[at] >= 0 {
			done[at] = true
			row, next, step := owner[at], -1, math.Inf(1)
			for c := range cols {
				if done[c] {
					continue
				}
				if d := cost(row, c) - u[row] - v[c]; d < slack[c] {
					slack[c], from[c] = d, at
				}
				if slack[c] < step {
					next, step = c, slack[c]
				}
			}
			for c := range done {
				if done[c] {
					u[owner[c]] += step
					v[c] -= step
				} else if c < cols {
					slack[c] -= step
				}
			}
			at = next
		}
		for at != cols {
			owner[at] = owner[from[at]]
			at = from[at]
		}
	}
	return owner[:cols]
}
