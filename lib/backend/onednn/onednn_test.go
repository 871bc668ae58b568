package onednn

import (
	"testing"

	"libdsl/lib/backend/backendtest"
)

func TestConformance(t *testing.T) { backendtest.Run(t, Backend{}) }
