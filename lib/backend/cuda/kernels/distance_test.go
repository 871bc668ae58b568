package kernels_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"libdsl/lib/backend/cuda/kernels"
)

func squared(a, b []float32) float64 {
	var s float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		s += d * d
	}
	return s
}

func TestDistanceTile(t *testing.T) {
	eachShift(t, func(t *testing.T, b *bench) {
		for _, s := range []struct{ m, n, d, stride int }{{1, 1, 1, 1}, {3, 70, 5, 70}, {64, 64, 16, 64}, {65, 130, 33, 140}, {10, 200, 128, 200}} {
			x, y := b.normal(f32, s.m*s.d), b.normal(f32, s.n*s.d)
			copy(y[:s.d], x[:s.d])
			out := b.empty(s.m*s.stride, 4)
			b.launch("distance_tile", (s.n+63)/64, (s.m+63)/64, upload(b, x), upload(b, y), out, s.m, s.n, s.d, s.stride)
			got := floats(out)
			if got[0] != 0 {
				t.Errorf("%v: equal rows are %v apart", s, got[0])
			}
			for i := range s.m {
				want := make([]float32, s.n)
				for j := range want {
					want[j] = float32(squared(x[i*s.d:][:s.d], y[j*s.d:][:s.d]))
				}
				near(t, fmt.Sprint(s, " row ", i), got[i*s.stride:][:s.n], want, 1e-6)
			}
			for i, v := range got {
				if i%s.stride >= s.n && v == v {
					t.Fatalf("%v: element %d behind the row was written", s, i)
				}
			}
		}
	})
}

func TestNearestCentres(t *testing.T) {
	b := setUp(t)
	for _, s := range []struct{ n, k, d, x int }{{1, 1, 1, 1}, {100, 3, 7, 1}, {257, 4, 33, 5}, {50, 9, 300, 64}} {
		x, centres := b.normal(f32, s.n*s.d), b.normal(f32, s.k*s.d)
		copy(centres[(s.k-1)*s.d:], centres[:s.d]) // the first of equals wins
		nearest, distance, partial := b.empty(s.n, 4), b.empty(s.n, 4), b.empty(s.x*s.k*s.d, 4)
		sums := b.empty(s.k*s.d, 4)
		b.launch("nearest_centres", s.x, 1, upload(b, x), upload(b, centres), nearest, distance, partial, s.n, s.k, s.d)
		b.launch("channel_sum_final", kernels.FinalGrid(s.k*s.d), 1, partial, sums, s.x, s.k*s.d)
		assigned, want, total := make([]int32, s.n), make([]float32, s.n), make([]float64, s.k*s.d)
		for i := range s.n {
			row, least := x[i*s.d:][:s.d], math.Inf(1)
			for c := range s.k {
				if d := squared(row, centres[c*s.d:][:s.d]); d < least {
					assigned[i], least = int32(c), d
				}
			}
			want[i] = float32(least)
			for j, v := range row {
				total[int(assigned[i])*s.d+j] += float64(v)
			}
		}
		equal(t, fmt.Sprint(s, " nearest"), download[int32](nearest), assigned)
		near(t, fmt.Sprint(s, " distance"), floats(distance), want, 1e-6)
		near(t, fmt.Sprint(s, " sums"), floats(sums), narrow(total), 1e-6)

		again := b.empty(s.n, 4)
		b.launch("nearest_centres", 2, 1, upload(b, x), upload(b, centres), again, distance, buffer{}, s.n, s.k, s.d)
		equal(t, fmt.Sprint(s, " nearest alone"), download[int32](again), assigned)
	}
}

func TestTopK(t *testing.T) {
	b := setUp(t)
	for _, s := range []struct {
		m, n, k, tile int
		self          int
	}{{1, 1, 1, 1, -1}, {3, 5, 8, 5, -1}, {4, 900, 10, 300, 0}, {2, 1000, 64, 1000, 7}, {3, 700, 64, 200, -1}} {
		all := make([]float32, s.m*s.n)
		for i := range all {
			all[i] = float32(b.random.IntN(200)) / 8 // with ties
		}
		all[s.n/2] = float32(math.NaN())
		values, indices := b.empty(s.m*s.k, 4), b.empty(s.m*s.k, 4)
		for first := 0; first < s.n; first += s.tile {
			n := min(s.tile, s.n-first)
			tile := make([]float32, 0, s.m*n)
			for i := range s.m {
				tile = append(tile, all[i*s.n+first:][:n]...)
			}
			b.launch("top_k", s.m, 1, upload(b, tile), values, indices, n, s.k, first, s.self, first == 0)
		}
		for i := range s.m {
			want, items := nearestItems(all[i*s.n:][:s.n], s.k, s.self, i)
			equal(t, fmt.Sprint(s, " items of row ", i), download[int32](indices)[i*s.k:][:s.k], items)
			equal(t, fmt.Sprint(s, " distances of row ", i), floats(values)[i*s.k:][:s.k], want)
		}
	}
}

// nearestItems sorts a whole row.
func nearestItems(row []float32, k, self, i int) ([]float32, []int32) {
	var order []int32
	for j, v := range row {
		if v == v && (self < 0 || j != self+i) {
			order = append(order, int32(j))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(row[a], row[b]) })
	values, items := make([]float32, k), make([]int32, k)
	for j := range k {
		values[j], items[j] = float32(math.Inf(1)), -1
		if j < len(order) {
			values[j], items[j] = row[order[j]], order[j]
		}
	}
	return values, items
}
