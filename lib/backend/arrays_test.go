package backend

import "testing"

type plain struct{ Backend }

type withArrays struct{ Backend }

func (withArrays) NewArray([]float32, int) (Array, error) { return nil, nil }

func TestADeviceIsUsedWhereItComputesArraysAndTheWorkPays(t *testing.T) {
	for _, c := range []struct {
		name string
		b    Backend
		work float64
		want bool
	}{
		{"big work", withArrays{}, worthwhile, true},
		{"a search of 10 queries among 1000 rows", withArrays{}, 10 * 1000 * 128, false},
		{"big work on the CPU", plain{}, 1e15, false},
		{"no backend", nil, 1e15, false},
	} {
		if got := Arrays(c.b, c.work); (got != nil) != c.want {
			t.Errorf("%s: got %v, want a device: %v", c.name, got, c.want)
		}
	}
}
