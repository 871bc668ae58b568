package dsl

import (
	"strings"

	"libdsl/lib/errs"
)

// backendOf turns a device name into the name of the backend that serves it: "" and "auto" take the best there is.
// Errors: Unsupported for a GPU, which this version cannot use; Invalid for anything else.
func backendOf(device string) (string, error) {
	switch name, number, numbered := strings.Cut(device, ":"); {
	case device == "" || device == "auto" || device == "cpu":
		return "onednn", nil
	case name == "cuda" && (!numbered || isNumber(number)):
		return "", errs.New(errs.Unsupported, "dsl: device %q: this version has no CUDA backend; use \"cpu\" or \"auto\"", device)
	}
	return "", errs.New(errs.Invalid, "dsl: device: got %q, want \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", device)
}

func isNumber(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
