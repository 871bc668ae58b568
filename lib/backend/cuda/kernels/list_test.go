package kernels_test

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/errs"
)

// documented reads kernels.md: the number of parameters of each kernel.
func documented(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("kernels.md")
	must(t, err)
	out := map[string]int{}
	shape := regexp.MustCompile(`\[[^\]]*\]`)
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)(_T)?\\(([^)]*)\\)`").FindAllStringSubmatch(string(text), -1) {
		parameters := strings.Count(shape.ReplaceAllString(m[3], ""), ",") + 1
		if m[2] == "" {
			out[m[1]] = parameters
			continue
		}
		out[m[1]+"_f32"], out[m[1]+"_bf16"] = parameters, parameters
	}
	return out
}

func TestThePTXHasTheDocumentedKernels(t *testing.T) {
	want := documented(t)
	for _, capability := range []int{7, 8, 9} {
		text, name, err := kernels.PTX(capability, 0)
		must(t, err)
		got := map[string]int{}
		for _, m := range regexp.MustCompile(`\.visible \.entry (\w+)\(([^)]*)\)`).FindAllSubmatch(text, -1) {
			got[string(m[1])] = bytes.Count(m[2], []byte(".param"))
			if n := bytes.Count(m[2], []byte(".param .u64")) + bytes.Count(m[2], []byte(".param .f64")); n != got[string(m[1])] {
				t.Errorf("%s, %s: a parameter has not 8 bytes", name, m[1])
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s and kernels.md disagree:\n PTX %v\nlist %v", name, got, want)
		}
	}
}

// No kernel uses the stack: arrays are in registers, or it would be many times slower.
func TestNoKernelUsesLocalMemory(t *testing.T) {
	for _, capability := range []int{7, 8} {
		text, name, err := kernels.PTX(capability, 0)
		must(t, err)
		for _, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, ".local") {
				t.Errorf("%s: %s", name, strings.TrimSpace(line))
			}
		}
	}
}

func TestPTXSuitsTheGPU(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		want         string
	}{{7, 0, "sm_70"}, {7, 5, "sm_70"}, {8, 0, "sm_80"}, {8, 9, "sm_80"}, {9, 0, "sm_80"}, {12, 0, "sm_80"}} {
		text, name, err := kernels.PTX(c.major, c.minor)
		must(t, err)
		if name != c.want || !bytes.Contains(text, []byte("\n.target "+c.want+"\n")) || !bytes.Contains(text, []byte("\n.version 7.0\n")) {
			t.Errorf("%d.%d: got %s", c.major, c.minor, name)
		}
		if bytes.IndexByte(text, 0) != len(text)-1 {
			t.Errorf("%s: does not end in its only zero byte", name)
		}
	}
	if _, _, err := kernels.PTX(6, 1); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("6.1: got %v, want an Unsupported error", err)
	}
}

func TestThePTXIsWhatTheSourcesGive(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("clang-19 is not installed")
	}
	dir := t.TempDir()
	if out, err := exec.Command("./generate.sh", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"sm_70.ptx", "sm_80.ptx"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		got, err := os.ReadFile(filepath.Join("ptx", name))
		must(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: run generate.sh and commit", name)
		}
	}
}

func TestRowGrid(t *testing.T) {
	for _, rows := range []int{1, 7, 1000, 1 << 20} {
		for _, c := range []int{1, 3, 8, 20, 64, 2048, 1 << 20} {
			for _, bytes := range []int{2, 4} {
				x, y := kernels.RowGrid(rows, c, bytes)
				if x < 1 || y < 1 || x*y > 1024 || x > rows {
					t.Errorf("%d rows of %d channels: got %d×%d blocks", rows, c, x, y)
				}
			}
		}
	}
	if x, y := kernels.RowGrid(256*56*56, 64, 2); x != 1024 || y != 1 {
		t.Errorf("a large feature map: got %d×%d blocks, want 1024×1", x, y)
	}
}
