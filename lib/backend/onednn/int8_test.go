package onednn

import (
	"testing"

	"libdsl/lib/backend/backendtest"
)

func TestInt8Conformance(t *testing.T) { backendtest.RunInt8(t, Backend{Int8: true}) }
