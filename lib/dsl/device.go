package dsl

import (
	"strings"

	"libdsl/lib/backend"
	_ "libdsl/lib/backend/onednn" // registers itself
	"libdsl/lib/errs"
)

// cpuBackend serves "cpu", and "auto" where there is nothing better.
const cpuBackend = "onednn"

// openBackend finds the backend of a device: "" and "auto" take the best there is.
// Errors: Unsupported for a GPU, which this version cannot use; Invalid for anything else.
func openBackend(device string) (backend.Backend, error) {
	name, number, numbered := strings.Cut(device, ":")
	switch {
	case device == "" || device == "auto" || device == "cpu":
		return backend.Open(cpuBackend, backend.Device{})
	case name == "cuda" && (!numbered || isNumber(number)):
		return nil, errs.New(errs.Unsupported, "dsl: device %q: this version has no CUDA backend; use \"cpu\" or \"auto\"", device)
	}
	return nil, errs.New(errs.Invalid, "dsl: device: got %q, want \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", device)
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
