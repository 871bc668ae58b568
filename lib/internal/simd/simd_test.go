package simd

import (
	"fmt"
	"math"
	"testing"

	"libdsl/lib/rng"
)

// everyBuild runs a test with the kernels of each instruction set that this processor has.
func everyBuild(t *testing.T, test func(t *testing.T)) {
	defer Builds()[0].Use()
	for _, b := range Builds() {
		b.Use()
		t.Run(b.Name(), test)
	}
}

func draw(seed uint64, n int) []float64 {
	r := rng.New(seed, "test")
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
	}
	return x
}

// floats rounds to float32.
func floats(x []float64) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		out[i] = float32(v)
	}
	return out
}

// naive is the plain loop. Conversions keep the compiler from fusing product and sum.
func naive[A, B float32 | float64](a []A, b []B) (sum float64) {
	for i := range a {
		sum += float64(float64(a[i]) * float64(b[i]))
	}
	return sum
}

// shapes are rows, other rows and dimensions around the tiles and lanes of all builds.
var shapes = [][3]int{{1, 1, 1}, {1, 7, 3}, {2, 24, 8}, {5, 25, 16}, {7, 9, 17}, {8, 8, 127}, {9, 49, 128}, {13, 3, 129}, {61, 30, 257}, {3, 2, 1024}}

func TestDotsAreThePlainLoopsBitForBit(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, s := range shapes {
			m, n, dim := s[0], s[1], s[2]
			a, b := draw(1, m*dim), draw(2, n*dim)
			stride := n + 3
			out := make([]float64, m*stride)
			for i := range out {
				out[i] = math.NaN() // what was there must not show
			}
			Dots(a, b, dim, out[:(m-1)*stride+n], stride)
			for i := range m {
				for j := range stride {
					got := out[i*stride+j]
					if j >= n {
						if !math.IsNaN(got) {
							t.Fatalf("%v: wrote %v behind row %d", s, got, i)
						}
					} else if want := naive(a[i*dim:(i+1)*dim], b[j*dim:(j+1)*dim]); got != want {
						t.Fatalf("%v: rows %d, %d: got %v, want %v", s, i, j, got, want)
					}
				}
			}
		}
	})
}

// wideError is what sums of dim products in float64 may differ by from one order to another (Higham 2002, eq. 3.5, for both).
func wideError[A, B float32 | float64](a []A, b []B) float64 {
	var sum float64
	for i := range a {
		sum += math.Abs(float64(a[i]) * float64(b[i]))
	}
	return 2 * float64(len(a)) * 0x1p-52 * sum
}

func TestWideDotsAreThePlainLoopsUpToTheOrderOfSums(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, scale := range []float64{1, 1e30, 1e-30, 1e-42} { // the last: subnormal floats
			for _, s := range shapes {
				m, k, dim := s[0], s[1], s[2]
				rows, centres := draw(3, m*dim), draw(4, k*dim)
				for i := range rows {
					rows[i] *= scale
				}
				x, out := floats(rows), make([]float64, m*k)
				WideDots(x, dim, centres, out)
				for i, got := range out {
					a, c := x[i/k*dim:(i/k+1)*dim], centres[i%k*dim:(i%k+1)*dim]
					if want := naive(a, c); math.Abs(got-want) > wideError(a, c) {
						t.Fatalf("scale %v, %v: row %d, centre %d: got %v, want %v", scale, s, i/k, i%k, got, want)
					}
				}
			}
		}
	})
}

func TestWideDotsDoNotDependOnTheRowsAround(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, dim := range []int{1, 5, 37, 128} {
			const m, k = 31, 11
			x, centres := floats(draw(5, m*dim)), draw(6, k*dim)
			whole := make([]float64, m*k)
			WideDots(x, dim, centres, whole)
			index := []int32{30, 0, 7, 7, 29, 3, 1, 12}
			for j := range k {
				at := make([]float64, len(index))
				WideDotsAt(x, index, centres[j*dim:(j+1)*dim], at)
				for i, row := range index {
					var one [1]float64
					WideDots(x[int(row)*dim:int(row+1)*dim], dim, centres[j*dim:(j+1)*dim], one[:])
					if want := whole[int(row)*k+j]; at[i] != want || one[0] != want {
						t.Fatalf("dim %d, row %d, centre %d: got %v by number and %v alone, want %v", dim, row, j, at[i], one[0], want)
					}
				}
			}
		}
	})
}

func TestSquaresAreTheProductsOfRowsWithThemselves(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, s := range shapes {
			m, dim := s[0], s[2]
			x := floats(draw(7, m*dim))
			centres := make([]float64, len(x))
			for i, v := range x {
				centres[i] = float64(v)
			}
			products, ofFloats, ofDoubles := make([]float64, m*m), make([]float64, m), make([]float64, m)
			WideDots(x, dim, centres, products)
			Squares(x, dim, ofFloats)
			Squares(centres, dim, ofDoubles)
			for i := range m {
				if want := products[i*m+i]; ofFloats[i] != want || ofDoubles[i] != want {
					t.Fatalf("%v: row %d: got %v and %v, want %v, bit for bit", s, i, ofFloats[i], ofDoubles[i], want)
				}
			}
		}
	})
}

func TestAddRowsAddsTheAskedColumnsInTheOrderOfRows(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, s := range shapes {
			m, k, dim := s[0], s[1], s[2]
			x, to := floats(draw(8, m*dim)), make([]int32, m)
			for i := range to {
				to[i] = int32(i * 7 % k)
			}
			from, end := dim/3, dim-dim/5
			sums := draw(9, k*dim)
			want := append([]float64{}, sums...)
			AddRows(x, dim, from, end, to, sums)
			for i, c := range to {
				for j := from; j < end; j++ {
					want[int(c)*dim+j] += float64(x[i*dim+j])
				}
			}
			for i := range want {
				if sums[i] != want[i] {
					t.Fatalf("%v: sum %d, column %d: got %v, want %v", s, i/dim, i%dim, sums[i], want[i])
				}
			}
		}
	})
}

func TestNoRowsAreNoWork(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		out := []float64{1}
		Dots(nil, out, 1, out, 1)
		Dots(out, nil, 1, out, 1)
		WideDots(nil, 1, out, out)
		WideDotsAt(nil, nil, out, out)
		Squares[float32](nil, 1, out)
		AddRows(nil, 1, 0, 1, nil, out)
		if out[0] != 1 {
			t.Errorf("got %v, want what was there", out[0])
		}
	})
}

func TestShortSlicesPanic(t *testing.T) {
	x, wide := make([]float32, 8), make([]float64, 8)
	for name, call := range map[string]func(){
		"dots":                    func() { Dots(wide, wide, 2, wide, 4) },
		"dots with centres":       func() { WideDots(x, 2, wide, wide) },
		"dots of rows by number":  func() { WideDotsAt(x, []int32{0, 1, 2}, wide[:2], wide[:2]) },
		"a row that is not there": func() { WideDotsAt(x, []int32{4}, wide[:2], wide) },
		"squares":                 func() { Squares(x, 2, wide[:3]) },
		"rows to add":             func() { AddRows(x, 4, 0, 4, []int32{0, 1, 1}, wide) },
		"sums":                    func() { AddRows(x, 4, 0, 4, []int32{0, 2}, wide) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic", name)
				}
			}()
			call()
		}()
	}
}

func TestTheBestBuildIsTakenAtTheStart(t *testing.T) {
	builds := Builds()
	if got, want := chosen.Load(), builds[0].table; got != want || builds[len(builds)-1].Name() != "base" {
		t.Errorf("got another build than the first of %v", builds)
	}
}

func BenchmarkDots256x256x128(b *testing.B) {
	x, out := draw(1, 256*128), make([]float64, 256*256)
	for b.Loop() {
		Dots(x, x, 128, out, 256)
	}
	b.ReportMetric(2*256*256*128*float64(b.N)/1e9/b.Elapsed().Seconds(), "GF/s")
}

// BenchmarkWideDots is rows in the second-level cache with the centres of K-means.
func BenchmarkWideDots(b *testing.B) {
	for _, dim := range []int{128, 1024} {
		const m, k = 48, 8
		x, centres, out := floats(draw(1, m*dim)), draw(2, k*dim), make([]float64, m*k)
		b.Run(fmt.Sprint(dim), func(b *testing.B) {
			for b.Loop() {
				WideDots(x, dim, centres, out)
			}
			b.ReportMetric(2*m*k*float64(dim)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GF/s")
		})
	}
}
