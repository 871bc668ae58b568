package hugepage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// Slices of all sizes are zero and writable to their ends.
func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, 4095, size - 1, size, 2*size - 1, 2 * size, 5*size + 3} {
		checkFresh(t, n, Floats(n))
		bytes, release, err := Map(n)
		if err != nil {
			t.Fatalf("Map(%d): %v", n, err)
		}
		checkFresh(t, n, bytes)
		release()
	}
}

func checkFresh[T byte | float32](t *testing.T, n int, s []T) {
	t.Helper()
	if len(s) != n {
		t.Fatalf("%T of %d has length %d", s, n, len(s))
	}
	for i, v := range s {
		if v != 0 {
			t.Fatalf("%T of %d: element %d is %v, want 0", s, n, i, v)
		}
		s[i] = 1
	}
}

// More than there is of address space is the system's error.
func TestMapNoMemory(t *testing.T) {
	if _, _, err := Map(1 << 60); !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("got %v, want %v", err, syscall.ENOMEM)
	}
}

// The system was asked for large pages in the middle of large slices.
func TestAdvice(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skipf("the system has no large pages to give: %v", err)
	}
	floats := Floats(2 * size)
	bytes, release, err := Map(8 * size)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, middle := range []unsafe.Pointer{unsafe.Pointer(&floats[size]), unsafe.Pointer(&bytes[4*size])} {
		flags, err := flagsAt(uintptr(middle))
		if err != nil {
			t.Skipf("the system does not say how memory is mapped: %v", err)
		}
		if !strings.Contains(flags, " hg") {
			t.Errorf("memory at %p has flags %q, want hg (advised to use large pages)", middle, flags)
		}
	}
}

// flagsAt reads the flags of the mapping around an address.
func flagsAt(address uintptr) (string, error) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return "", err
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var lo, hi uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &lo, &hi); err == nil {
			inside = lo <= address && address < hi
		} else if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			return flags, nil
		}
	}
	return "", fmt.Errorf("no mapping around %#x has flags in /proc/self/smaps", address)
}
