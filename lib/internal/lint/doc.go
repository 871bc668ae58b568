// Package lint holds the list of who may import whom in libdsl, and a test that fails when code leaves it.
//
// The list is in rules_test.go; add a package there before writing it.
package lint
