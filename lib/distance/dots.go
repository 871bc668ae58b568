package distance

// Float is the type of a row's numbers.
type Float interface{ float32 | float64 }

// Dots writes the inner product of each row of a [m, dim] with each row of b [n, dim]: out[i*stride+j] = ⟨a_i, b_j⟩.
//
// Each product is summed in the type T, from the first component to the last, whatever m and n are: a pair's value
// does not depend on the rows around it, and ⟨x, y⟩ equals ⟨y, x⟩. In float32 the error is at most about
// dim·6e-8·‖x‖·‖y‖. dim must be positive, and out must hold (m-1)*stride+n numbers; anything else panics.
func Dots[T Float](a, b []T, dim int, out []T, stride int) {
	m, n := len(a)/dim, len(b)/dim
	i := 0
	for ; i+3 <= m; i += 3 {
		a0, a1, a2 := row(a, i, dim), row(a, i+1, dim), row(a, i+2, dim)
		o0, o1, o2 := out[i*stride:][:n], out[(i+1)*stride:][:n], out[(i+2)*stride:][:n]
		j := 0
		for ; j+2 <= n; j += 2 {
			o0[j], o1[j], o2[j], o0[j+1], o1[j+1], o2[j+1] = dot3x2(a0, a1, a2, row(b, j, dim), row(b, j+1, dim))
		}
		if j < n {
			o0[j], o1[j], o2[j] = dot3(a0, a1, a2, row(b, j, dim))
		}
	}
	for ; i < m; i++ {
		r, o := row(a, i, dim), out[i*stride:][:n]
		j := 0
		for ; j+3 <= n; j += 3 {
			o[j], o[j+1], o[j+2] = dot3(row(b, j, dim), row(b, j+1, dim), row(b, j+2, dim), r)
		}
		for ; j < n; j++ {
			o[j] = dot(r, row(b, j, dim))
		}
	}
}

// galleryTile is the number of gallery rows that stay in the first-level caches while the queries pass over them.
const galleryTile = 128

// Products is Dots of a few queries with the many rows of a gallery, a tile of the gallery at a time. Every value is that of Dots.
func Products[T Float](queries, gallery []T, dim int, out []T, stride int) {
	for from := 0; from*dim < len(gallery); from += galleryTile {
		to := min(from+galleryTile, len(gallery)/dim)
		Dots(queries, gallery[from*dim:to*dim], dim, out[from:], stride)
	}
}

func row[T Float](x []T, i, dim int) []T { return x[i*dim : (i+1)*dim] }

// dot3x2 keeps six sums at a time: five loads feed six products. Eight (4 × 2) spill a sum to the stack in each turn
// of the loop, which Go 1.26 on amd64 pays with 2.4 times the time per product.
func dot3x2[T Float](a0, a1, a2, b0, b1 []T) (s00, s10, s20, s01, s11, s21 T) {
	a1, a2 = a1[:len(a0)], a2[:len(a0)]
	b0, b1 = b0[:len(a0)], b1[:len(a0)]
	for i, x0 := range a0 {
		y0, y1 := b0[i], b1[i]
		s00 += x0 * y0
		s01 += x0 * y1
		x1 := a1[i]
		s10 += x1 * y0
		s11 += x1 * y1
		x2 := a2[i]
		s20 += x2 * y0
		s21 += x2 * y1
	}
	return
}

func dot3[T Float](a0, a1, a2, b []T) (s0, s1, s2 T) {
	a0, a1, a2 = a0[:len(b)], a1[:len(b)], a2[:len(b)]
	for i, y := range b {
		s0 += a0[i] * y
		s1 += a1[i] * y
		s2 += a2[i] * y
	}
	return
}

func dot[T Float](a, b []T) (s T) {
	b = b[:len(a)]
	for i, x := range a {
		s += x * b[i]
	}
	return
}
