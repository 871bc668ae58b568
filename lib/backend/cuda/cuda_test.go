package cuda_test

import (
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/backendtest"
	"libdsl/lib/backend/cuda"
	"libdsl/lib/backend/cuda/emulated"
)

func open(t *testing.T, p backend.Precision) backend.Backend {
	t.Helper()
	emulated.Start(t)
	b, err := cuda.Open(backend.Device{Precision: p})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) { backendtest.Run(t, open(t, backend.F32)) }

func TestConformanceInBFloat16(t *testing.T) { backendtest.RunRounded(t, open(t, backend.BF16), 2e-2) }
