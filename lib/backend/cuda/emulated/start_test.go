package emulated

import (
	"os"
	"testing"
)

func TestStartLeadsTheBackendToTheDoubles(t *testing.T) {
	if Real() {
		t.Skip("DSL_TEST_GPU=1: the real libraries are in use")
	}
	Start(t)
	for _, d := range doubles {
		if _, err := os.Stat(os.Getenv(d.variable)); err != nil {
			t.Errorf("%s: %v", d.variable, err)
		}
	}
	if live := Live(); len(live) != 0 {
		t.Errorf("a fresh double has live handles: %v", live)
	}
}
