// Package metric scores embeddings and clusterings against labels.
//
// All scores are computed on the host from plain arrays; the package knows no model and no data set. Results do not
// depend on the number of threads.
package metric

import (
	"math"

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
// It is 1 for equal partitions, about 0 (also slightly below) for independent ones. Errors: as NMI. Time grows with
// classes · clusters · the size of their classes. Source: Vinh, Epps and Bailey 2010; equal to scikit-learn's default but
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

// table counts the images of each class (row), cluster (column) and pair of both; rows and cols are in order of first
// appearance, so that sums are the same in every run.
type table struct {
	n          int
	rows, cols []int
	cells      []int // [rows, cols]
}

func contingency(labels []int64, clusters []int) (*table, error) {
	if len(labels) == 0 || len(labels) != len(clusters) {
		return nil, errs.New(errs.Invalid, "metric: got %d labels and %d clusters, want as many of each and one or more", len(labels), len(clusters))
	}
	r, rows := number(labels)
	c, cols := number(clusters)
	t := &table{n: len(labels), rows: rows, cols: cols, cells: make([]int, len(rows)*len(cols))}
	for i := range r {
		t.cells[r[i]*len(cols)+c[i]]++
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
	for r, a := range t.rows {
		for c, b := range t.cols {
			if v := float64(t.cells[r*len(t.cols)+c]); v > 0 {
				sum += v / n * math.Log(n*v/(float64(a)*float64(b)))
			}
		}
	}
	return sum
}

// chance is the expected mutual information under the hypergeometric model (Vinh et al. 2010, eq. 24a).
func (t *table) chance() float64 {
	logFact := make([]float64, t.n+1)
	for i := range logFact {
		logFact[i], _ = math.Lgamma(float64(i) + 1)
	}
	n, fn := t.n, float64(t.n)
	var sum float64
	for _, a := range t.rows {
		for _, b := range t.cols {
			fixed := logFact[a] + logFact[b] + logFact[n-a] + logFact[n-b] - logFact[n]
			for v := max(1, a+b-n); v <= min(a, b); v++ {
				p := math.Exp(fixed - logFact[v] - logFact[a-v] - logFact[b-v] - logFact[n-a-b+v])
				sum += p * float64(v) / fn * math.Log(fn*float64(v)/(float64(a)*float64(b)))
			}
		}
	}
	return sum
}
