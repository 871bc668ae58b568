package backendtest

import (
	"testing"

	"libdsl/lib/backend"
)

type contract struct {
	name string
	run  func(t *testing.T, b backend.Backend)
}

var contracts = []contract{}
