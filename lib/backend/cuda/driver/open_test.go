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

// traced writes when it is loaded and when it is started, which fails.
const traced = `
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { write(1, "loaded\n", 7); }
int cuInit(unsigned flags) { write(1, "started\n", 8); return 999; }
int cuGetErrorName(int code, const char **name) { *name = 0; return 1; }
`

// compile makes a library of C and returns its path.
func compile(t *testing.T, name, source string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-o", path, "-x", "c", "-")
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
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
	text := filepath.Join(t.TempDir(), "text.so")
	must(t, os.WriteFile(text, []byte("no library\n"), 0o600))
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"switched off", []string{"DSL_CUDA_DRIVER=none"}, "switched off by DSL_CUDA_DRIVER=none"},
		{"not there", []string{"DSL_CUDA_DRIVER=/no/such/libcuda.so"}, "/no/such/libcuda.so"},
		{"no library", []string{"DSL_CUDA_DRIVER=" + text}, "text.so"},
		{"another library", []string{"DSL_CUDA_DRIVER=" + compile(t, "empty.so", "")}, "empty.so does not start: it has no cuInit"},
		{"a driver that knows no names", []string{"DSL_CUDA_DRIVER=" + compile(t, "traced.so", traced)}, "error (999): nvidia-smi"},
		{"a stand-in", []string{"DSL_EMULATED_INIT=34"}, "the CUDA toolkit's stand-in"},
		{"a driver that does not fit", []string{"DSL_EMULATED_INIT=803"}, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): it does not fit"},
		{"GPUs that are not ready", []string{"DSL_EMULATED_INIT=802"}, "nvidia-fabricmanager"},
		{"another failure", []string{"DSL_EMULATED_INIT=999"}, "CUDA_ERROR_UNKNOWN (999): nvidia-smi"},
		{"no GPU", []string{"DSL_EMULATED_INIT=100"}, "CUDA_VISIBLE_DEVICES"},
		{"an old driver", []string{"DSL_EMULATED_VERSION=11080"}, "knows CUDA 11.8"},
		{"no device", []string{"DSL_EMULATED_DEVICES=0"}, "sees no GPU"},
	} {
		if out := open(t, c.env...); !strings.Contains(out, "open: device error") || !strings.Contains(out, c.want) {
			t.Errorf("%s: got\n%swant a device error with %q", c.name, out, c.want)
		}
	}
}

func TestCallsFailUntilTheDriverIsOpen(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a driver with two devices is emulated")
	}
	emulated.Start(t)
	out := open(t, "DSL_EMULATED_DEVICES=2")
	for _, want := range []string{"before: device error cuda: device 0: no driver has been opened", "open: ok 2", "after: ok"} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%swant %q in it", out, want)
		}
	}
}

func TestADriverIsLoadedByOpenOnly(t *testing.T) {
	out := open(t, "DSL_CUDA_DRIVER="+compile(t, "traced.so", traced))
	var order []string
	for line := range strings.Lines(out) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		order = append(order, word)
	}
	if got, want := strings.Join(order, " "), "before loaded started open after"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
