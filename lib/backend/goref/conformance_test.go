package goref_test

import (
	"testing"

	"libdsl/lib/backend/backendtest"
	"libdsl/lib/backend/goref"
)

// The numbers agree by definition; what is tested is the rest of the contract.
func TestConformance(t *testing.T) { backendtest.Run(t, goref.Backend{}) }
