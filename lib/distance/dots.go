package distance

// Float is the type of a row's numbers.
type Float interface{ float32 | float64 }

// Dots writes the inner product of each row of a [m, dim] with each row of b [n, dim]: out[i*stride+j] = ⟨a_i, b_j⟩.
//
// Each product is summed in the type T, from the first component to the last, whatever m and n are: a pair's value
// does not depend on the rows around it, and ⟨x, y⟩ equals ⟨y, x⟩. In float32 the relative error is about dim·6e-8 at worst.
// dim must be positive, and out must hold (m-1)*stride+n numbers; anything else panics.
func Dots[T Float](a, b []T, dim int, out []T, stride int) {
	m, n := len(a)/dim, len(b)/dim
	i := 0
	for ; i+4 <= m; i += 4 {
		a0, a1 := a[i*dim:(i+1)*dim], a[(i+1)*dim:(i+2)*dim]
		a2, a3 := a[(i+2)*dim:(i+3)*dim], a[(i+3)*dim:(i+4)*dim]
		o0, o1 := out[i*stride:][:n], out[(i+1)*stride:][:n]
		o2, o3 := out[(i+2)*stride:][:n], out[(i+3)*stride:][:n]
		j := 0
		for ; j+2 <= n; j += 2 {
			b0, b1 := b[j*dim:(j+1)*dim], b[(j+1)*dim:(j+2)*dim]
			o0[j], o1[j], o2[j], o3[j], o0[j+1], o1[j+1], o2[j+1], o3[j+1] = dot4x2(a0, a1, a2, a3, b0, b1)
		}
		if j < n {
			b0 := b[j*dim : (j+1)*dim]
			o0[j], o1[j], o2[j], o3[j] = dot4(a0, a1, a2, a3, b0)
		}
	}
	for ; i < m; i++ {
		row := a[i*dim : (i+1)*dim]
		o := out[i*stride:][:n]
		j := 0
		for ; j+4 <= n; j += 4 {
			o[j], o[j+1], o[j+2], o[j+3] = dot4(b[j*dim:(j+1)*dim], b[(j+1)*dim:(j+2)*dim],
				b[(j+2)*dim:(j+3)*dim], b[(j+3)*dim:(j+4)*dim], row)
		}
		for ; j < n; j++ {
			o[j] = dot(row, b[j*dim:(j+1)*dim])
		}
	}
}

// dot4x2 holds eight sums in registers, so that six loads feed eight products.
func dot4x2[T Float](a0, a1, a2, a3, b0, b1 []T) (s00, s10, s20, s30, s01, s11, s21, s31 T) {
	a1, a2, a3 = a1[:len(a0)], a2[:len(a0)], a3[:len(a0)]
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
		x3 := a3[i]
		s30 += x3 * y0
		s31 += x3 * y1
	}
	return
}

func dot4[T Float](a0, a1, a2, a3, b []T) (s0, s1, s2, s3 T) {
	a0, a1, a2, a3 = a0[:len(b)], a1[:len(b)], a2[:len(b)], a3[:len(b)]
	for i, y := range b {
		s0 += a0[i] * y
		s1 += a1[i] * y
		s2 += a2[i] * y
		s3 += a3[i] * y
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
