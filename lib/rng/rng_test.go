package rng

import (
	"math"
	"testing"
)

func TestStreamsOfOneNameAreEqualAndOfTwoNamesDiffer(t *testing.T) {
	a, b, c := New(1, "init"), New(1, "init"), New(1, "sampler")
	x, y, z := a.Uint64(), b.Uint64(), c.Uint64()
	if x != y || x == z {
		t.Fatalf("got %d %d %d", x, y, z)
	}
}

func TestARestoredStreamGoesOnWhereItWas(t *testing.T) {
	a := New(7, "x")
	a.NormFloat64()
	state, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b := New(0, "other")
	if err := b.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if x, y := a.NormFloat64(), b.NormFloat64(); x != y {
			t.Fatalf("draw %d: got %v, want %v", i, y, x)
		}
	}
}

func TestCounterIsUniform(t *testing.T) {
	const n = 1 << 16
	var sum, sq float64
	key := DropoutKey(3, 12)
	for i := range uint64(n) {
		u := float64(Counter(key, i))
		if u < 0 || u >= 1 {
			t.Fatalf("draw %d is %v", i, u)
		}
		sum += u
		sq += u * u
	}
	mean, variance := sum/n, sq/n-sum*sum/n/n
	// five standard deviations of the mean of n uniform draws
	if math.Abs(mean-0.5) > 5/math.Sqrt(12*n) || math.Abs(variance-1.0/12) > 0.002 {
		t.Fatalf("mean %v variance %v", mean, variance)
	}
	if DropoutKey(3, 12) == DropoutKey(3, 13) || DropoutKey(3, 12) == DropoutKey(4, 12) {
		t.Fatal("keys of different steps or seeds are equal")
	}
}
