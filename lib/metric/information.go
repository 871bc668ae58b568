// Package metric scores embeddings and clusterings against labels.
//
// All scores are computed on the host from plain arrays; the package knows no model and no data set. Results do not
// depend on the number of threads.
package metric

import (
	"math"
	"slices"

	"libdsl/lib/errs"
)

// NMI is the normalised mutual information of labels and clusters, both [N]:
//
//	NMI = I(labels; clusters) / ((H(labels) + H(clusters))/2), in [0, 1]
//
// Only equality of the numbers counts. One class in one cluster gives 1; one class in many clusters, or many in one,
// gives 0. Errors: errs.Invalid when there is no image or the lengths differ.
// Source: Strehl and Ghosh 2002, with the arithmetic mean; equal to scikit-learn's default.
func NMI(labels []int64, clusters []int) (float64, error) {
	t, err := contingency(labels, clusters)
	if err != nil {
		return 0, err
	}
	if len(t.rows) == 1 && len(t.cols) == 1 {
		return 1, nil
	}
	mean := (entropy(t.rows, t.n) + entropy(t.cols, t.n)) / 2
	return min(1, max(0, t.information()/mean)), nil
}

// AMI is NMI adjusted for chance, with E the expected information of two random partitions of the same sizes:
//
//	AMI = (I − E) / ((H(labels) + H(clusters))/2 − E)
//
// It is 1 for equal partitions, about 0 (also slightly below) for independent ones. Errors: as NMI. Time grows with the
// number of distinct sizes of classes, that of clusters, and the images; memory with the images. Source: Vinh, Epps and Bailey 2010; equal to scikit-learn's default but
// for each image alone in both, 0/0 in the formula: two equal partitions, and so 1 here, rounding errors there.
func AMI(labels []int64, clusters []int) (float64, error) {
	t, err := contingency(labels, clusters)
	if err != nil {
		return 0, err
	}
	if len(t.rows) == len(t.cols) && (len(t.rows) == 1 || len(t.rows) == t.n) {
		return 1, nil
	}
	chance := t.chance()
	mean := (entropy(t.rows, t.n) + entropy(t.cols, t.n)) / 2
	return (t.information() - chance) / (mean - chance), nil
}

// table counts the images of each class (row), cluster (column) and pair of both that occurs; all are in order of first
// appearance, so that sums are the same in every run.
type table struct {
	n          int
	rows, cols []int
	cells      []cell // those with images, at most n
}

// cell is a class's images in a cluster.
type cell struct{ row, col, count int }

func contingency(labels []int64, clusters []int) (*table, error) {
	if len(labels) == 0 || len(labels) != len(clusters) {
		return nil, errs.New(errs.Invalid, "metric: got %d labels and %d clusters, want as many of each and one or more", len(labels), len(clusters))
	}
	r, rows := number(labels)
	c, cols := number(clusters)
	pairs := make([]int, len(r))
	for i := range r {
		pairs[i] = r[i]*len(cols) + c[i]
	}
	ids, counts := number(pairs)
	t := &table{n: len(labels), rows: rows, cols: cols, cells: make([]cell, len(counts))}
	for i, id := range ids {
		t.cells[id] = cell{r[i], c[i], counts[id]}
	}
	return t, nil
}

// number renumbers values by first appearance and counts them.
func number[T int | int64](values []T) (ids, counts []int) {
	seen := map[T]int{}
	ids = make([]int, len(values))
	for i, v := range values {
		id, ok := seen[v]
		if !ok {
			id = len(counts)
			seen[v] = id
			counts = append(counts, 0)
		}
		ids[i] = id
		counts[id]++
	}
	return ids, counts
}

func countOf(labels []int64) []int {
	_, counts := number(labels)
	return counts
}

// entropy is −Σ p log p of the shares counts/n, in nats.
func entropy(counts []int, n int) float64 {
	var h float64
	for _, c := range counts {
		p := float64(c) / float64(n)
		h -= p * math.Log(p)
	}
	return h
}

// information is the mutual information Σ p_rc log(p_rc/(p_r·p_c)), in nats.
func (t *table) information() float64 {
	var sum float64
	n := float64(t.n)
	for _, c := range t.cells {
		v := float64(c.count)
		sum += v / n * math.Log(n*v/(float64(t.rows[c.row])*float64(t.cols[c.col])))
	}
	return sum
}

// chance is the expected mutual information under the hypergeometric model (Vinh et al. 2010, eq. 24a). It depends on sizes alone, so
// that pairs of classes and clusters of equal sizes share one sum.
func (t *table) chance() float64 {
	var sum float64
	rows, cols := sizes(t.rows), sizes(t.cols)
	for _, r := range rows {
		for _, c := range cols {
			sum += float64(r.parts) * float64(c.parts) * expected(r.size, c.size, t.n)
		}
	}
	return sum
}

// expected is the mean of v/n·log(n·v/(a·b)) over the number v of images that parts of a and b of n images have in common by chance.
// The probabilities follow from their ratios, p(v+1)/p(v) = (a−v)(b−v)/((v+1)(n−a−b+v+1)), from the likeliest v on: logarithms of factorials
// would lose ten digits of sixteen where n is large.
func expected(a, b, n int) float64 {
	const negligible = 1e-25 // of the largest weight; the rest falls faster than geometrically
	fa, fb, fn := float64(a), float64(b), float64(n)
	least, most := max(0, a+b-n), min(a, b)
	start := min(max(least, int((fa+1)*(fb+1)/(fn+2))), most)
	var total, sum float64
	add := func(v int, w float64) {
		total += w
		if v > 0 {
			sum += w * float64(v) / fn * math.Log(fn*float64(v)/(fa*fb))
		}
	}
	for v, w := start, 1.0; w > negligible; v++ {
		add(v, w)
		w *= (fa - float64(v)) * (fb - float64(v)) / ((float64(v) + 1) * (fn - fa - fb + float64(v) + 1)) // 0 at most
	}
	for v, w := start, 1.0; v > least; v-- {
		if w *= float64(v) * (fn - fa - fb + float64(v)) / ((fa - float64(v) + 1) * (fb - float64(v) + 1)); w < negligible {
			break
		}
		add(v-1, w)
	}
	return sum / total
}

// size is how many parts of a partition have so many images.
type size struct{ size, parts int }

// sizes lists the distinct sizes, the smallest first: at most √(2n) of them.
func sizes(counts []int) (out []size) {
	sorted := slices.Sorted(slices.Values(counts))
	for _, c := range sorted {
		if len(out) == 0 || out[len(out)-1].size != c {
			out = append(out, size{size: c})
		}
		out[len(out)-1].parts++
	}
	return out
}
