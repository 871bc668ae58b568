package driver_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

// inChild tells the test program that it is a process of its own: a driver is looked for once in a process.
const inChild = "DSL_TEST_OPEN"

// TestMain in a child opens the driver and prints what came of it.
func TestMain(m *testing.M) {
	if os.Getenv(inChild) == "" {
		os.Exit(m.Run())
	}
	_, before := driver.Device(0)
	fmt.Println("before:", errs.KindOf(before), before)
	info, err := driver.Open()
	fmt.Println("open:", errs.KindOf(err), info.Devices, err)
	_, after := driver.Device(0)
	fmt.Println("after:", errs.KindOf(after), after)
	os.Exit(0)
}

// open runs a child with an environment and returns what it printed.
func open(t *testing.T, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), inChild+"=1"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", env, err, out)
	}
	return string(out)
}

func TestOpenSaysWhyThereIsNoGPU(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: what the emulated driver pretends is tested without a GPU")
	}
	emulated.Start(t)
	folder := t.TempDir()
	text, empty := filepath.Join(folder, "text.so"), filepath.Join(folder, "empty.so")
	if err := os.WriteFile(text, []byte("no library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-x", "c", "-o", empty, "/dev/null").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"switched off", []string{"DSL_CUDA_DRIVER=none"}, "switched off by DSL_CUDA_DRIVER=none"},
		{"not there", []string{"DSL_CUDA_DRIVER=/no/such/libcuda.so"}, "/no/such/libcuda.so"},
		{"no library", []string{"DSL_CUDA_DRIVER=" + text}, "text.so"},
		{"another library", []string{"DSL_CUDA_DRIVER=" + empty}, "this is no CUDA driver"},
		{"a stand-in", []string{"DSL_EMULATED_INIT=34"}, "the CUDA toolkit's stand-in"},
		{"a driver that does not fit", []string{"DSL_EMULATED_INIT=803"}, "restart"},
		{"a failing driver", []string{"DSL_EMULATED_INIT=999"}, "error 999"},
		{"an old driver", []string{"DSL_EMULATED_VERSION=11080"}, "knows CUDA 11.8"},
		{"no device", []string{"DSL_EMULATED_DEVICES=0"}, "sees no GPU"},
	} {
		if out := open(t, c.env...); !strings.Contains(out, "open: device error") || !strings.Contains(out, c.want) {
			t.Errorf("%s: got\n%swant a device error with %q", c.name, out, c.want)
		}
	}
	out := open(t, "DSL_EMULATED_DEVICES=2")
	if !strings.Contains(out, "before: device error") || !strings.Contains(out, "open: ok 2") || !strings.Contains(out, "after: ok") {
		t.Errorf("a driver with two devices: got\n%s", out)
	}
}
