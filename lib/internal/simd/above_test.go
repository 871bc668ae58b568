package simd

import (
	"math"
	"testing"
)

func score(row, query []float32, less float64) float64 { return naive(row, query) - less }

func TestAboveInFloat64IsThePlainLoopBitForBit(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		var q Queries[float64] // one for all sizes: stale memory must not show
		for _, s := range shapes {
			m, n, dim := s[0], s[1], s[2]
			rows, queries, less := floats(draw(1, m*dim)), floats(draw(2, n*dim)), draw(3, m)
			q.Turn(queries, dim)
			asked := draw(4, n)
			asked[0] = math.Inf(-1)
			copy(q.Asked, asked)
			got := q.Above(rows, less, make([]Hit[float64], m*n))
			seen := map[[2]int32]float64{}
			last := map[int32]int32{}
			for _, h := range got {
				if before, ok := last[h.Query]; ok && before >= h.Row {
					t.Fatalf("%v: query %d: got row %d after %d", s, h.Query, h.Row, before)
				}
				last[h.Query], seen[[2]int32{h.Query, h.Row}] = h.Row, h.Score
			}
			for i := range m {
				for j := range n {
					want := score(rows[i*dim:(i+1)*dim], queries[j*dim:(j+1)*dim], less[i])
					if v, ok := seen[[2]int32{int32(j), int32(i)}]; ok != (want > asked[j]) || ok && v != want {
						t.Fatalf("%v: query %d, row %d: got %v, %v, want %v, above %v", s, j, i, v, ok, want, asked[j])
					}
				}
			}
		}
	})
}

func TestAboveInFloat32IsWithinItsError(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		for _, scale := range []float64{1, 1e15, 1e-15, 1e-30} { // the last: products that are subnormal, and count as 0
			for _, s := range shapes {
				m, n, dim := s[0], s[1], s[2]
				a, b := draw(5, m*dim), draw(6, n*dim)
				for i := range a {
					a[i] *= scale
				}
				rows, queries := floats(a), floats(b)
				var q Queries[float32]
				q.Turn(queries, dim)
				hits := q.Above(rows, nil, make([]Hit[float32], m*n))
				if len(hits) != m*n {
					t.Fatalf("%v: got %d hits above -Inf, want all %d", s, len(hits), m*n)
				}
				for _, h := range hits {
					x, y := rows[int(h.Row)*dim:int(h.Row+1)*dim], queries[int(h.Query)*dim:int(h.Query+1)*dim]
					// Higham 2002, eq. 3.5, and 2⁻¹²⁶ for each product and sum that is flushed
					most := wideError(x, y)*0x1p29 + float64(dim)*0x1p-125
					if want := naive(x, y); math.Abs(float64(h.Score)-want) > most {
						t.Fatalf("scale %v, %v: query %d, row %d: got %v, want %v", scale, s, h.Query, h.Row, h.Score, want)
					}
				}
			}
		}
	})
}

var tiny float32 = 2e-42 // the compiler must not halve it

func TestSubnormalNumbersSurviveOutsideTheKernel(t *testing.T) {
	everyBuild(t, func(t *testing.T) {
		var q Queries[float32]
		q.Turn([]float32{1e-42}, 1)
		q.Above([]float32{1e-42}, nil, make([]Hit[float32], 1))
		if tiny/2 == 0 {
			t.Error("the processor still flushes subnormal numbers")
		}
	})
}

func TestAboveNeedsRoomForAllPairs(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("got no panic")
		}
	}()
	var q Queries[float32]
	q.Turn(make([]float32, 4), 2)
	q.Above(make([]float32, 4), nil, make([]Hit[float32], 3))
}

func TestTurningAgainAllocatesNothing(t *testing.T) {
	var q Queries[float64]
	rows, hits := make([]float32, 20), make([]Hit[float64], 100)
	if n := testing.AllocsPerRun(10, func() { q.Turn(rows, 2); q.Above(rows, nil, hits) }); n != 0 {
		t.Errorf("got %v allocations a run, want 0", n)
	}
}
