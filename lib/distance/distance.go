// Package distance gives the Euclidean distances between the rows of a batch, and their gradient.
//
// Sums are in float64. Buffers belong to a Matrix and are reused: after the first batch of a size nothing is allocated.
// The package knows nothing of classes, learners or losses.
package distance

import (
	"math"

	"libdsl/lib/errs"
	"libdsl/lib/internal/simd"
)

// B batch, D dimension of a row.

// Epsilon keeps the gradient of the distance finite where two rows coincide: d = √(‖a−b‖² + Epsilon).
const Epsilon = 1e-8

// rowsPerPass is a multiple of the kernels' tiles, few enough that most of a symmetric matrix is computed once.
const rowsPerPass = 48

// Matrix holds the distances of one batch of rows. The zero value is ready for Compute. It has one user at a time.
type Matrix struct {
	n, dim int
	rows   []float64 // [B, D], the batch
	d      []float64 // [B, B]
	acc    []float64 // [B, D], gradient sums
}

// Compute fills the matrix with d_ij = √(‖x_i−x_j‖² + Epsilon) of the rows x [B, dim]; d_ii = √Epsilon.
//
// Errors: errs.Invalid when x is empty or not whole rows, or when a row holds NaN or infinity; the matrix is then empty.
func (m *Matrix) Compute(x []float32, dim int) error {
	m.n = 0
	if err := CheckRows("distance", x, dim); err != nil {
		return err
	}
	n := len(x) / dim
	m.rows, m.d = Resize(m.rows, len(x)), Resize(m.d, n*n)
	for i, v := range x {
		m.rows[i] = float64(v)
	}
	for i := 0; i < n; i += rowsPerPass { // the products of some rows with themselves and all later rows
		simd.Dots(m.rows[i*dim:min(i+rowsPerPass, n)*dim], m.rows[i*dim:], dim, m.d[i*n+i:], n)
	}
	m.n, m.dim = n, dim
	m.finish()
	return nil
}

// finish turns the upper triangle of inner products into distances and mirrors it. The diagonal holds the squared
// norms until the end, so that equal rows give exactly √Epsilon.
func (m *Matrix) finish() {
	n, d := m.n, m.d
	for i := range n {
		row, norm := d[i*n:(i+1)*n], d[i*n+i]
		for j := i + 1; j < n; j++ {
			v := math.Sqrt(max(0, norm+d[j*n+j]-2*row[j]) + Epsilon)
			row[j], d[j*n+i] = v, v
		}
	}
	for i := range n {
		d[i*n+i] = math.Sqrt(Epsilon)
	}
}

// Len is the number of rows B of the last Compute.
func (m *Matrix) Len() int { return m.n }

// Dim is the dimension D of the rows of the last Compute.
func (m *Matrix) Dim() int { return m.dim }

// Row returns the distances of row i to all rows; it is valid until the next Compute.
func (m *Matrix) Row(i int) []float64 { return m.d[i*m.n : (i+1)*m.n] }

// Backward turns g [B, B], g_ij = ∂L/∂d_ij over ordered pairs, into the gradient of the rows:
//
//	grad_i = Σ_j (g_ij + g_ji)·(x_i − x_j)/d_ij
//
// It overwrites grad [B, D]. Coinciding rows push each other nowhere: their gradient is 0.
// Errors: errs.Invalid when g or grad has another size than the last Compute gave.
func (m *Matrix) Backward(g []float64, grad []float32) error {
	n, dim := m.n, m.dim
	if n == 0 || len(g) != n*n || len(grad) != n*dim {
		return errs.New(errs.Invalid, "distance: backward: got %d pair and %d row gradients, want %d and %d",
			len(g), len(grad), n*n, n*dim)
	}
	m.acc = Resize(m.acc, n*dim)
	clear(m.acc)
	for i := range n {
		for j := i + 1; j < n; j++ {
			if w := g[i*n+j] + g[j*n+i]; w != 0 {
				m.push(i, j, w/m.d[i*n+j])
			}
		}
	}
	for i, v := range m.acc {
		grad[i] = float32(v)
	}
	return nil
}

// push adds w·(x_i − x_j) to row i and takes it from row j.
func (m *Matrix) push(i, j int, w float64) {
	dim := m.dim
	xi, xj := m.rows[i*dim:(i+1)*dim], m.rows[j*dim:(j+1)*dim]
	gi, gj := m.acc[i*dim:(i+1)*dim], m.acc[j*dim:(j+1)*dim]
	for c := range gi {
		v := w * (xi[c] - xj[c])
		gi[c] += v
		gj[c] -= v
	}
}

// CheckRows reports whether x is a non-empty [rows, dim] array of finite numbers; who names the caller in the error.
func CheckRows(who string, x []float32, dim int) error {
	if dim <= 0 || len(x) == 0 || len(x)%dim != 0 {
		return errs.New(errs.Invalid, "%s: rows: got %d numbers, want one or more rows of %d", who, len(x), dim)
	}
	for i, v := range x {
		if v-v != 0 { // NaN or an infinity
			return errs.New(errs.Invalid, "%s: row %d, column %d: got %v, want a finite number", who, i/dim, i%dim, v)
		}
	}
	return nil
}

// Resize returns s with length n, allocating only when its capacity is too small; the contents are unspecified.
func Resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
