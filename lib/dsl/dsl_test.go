package dsl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/train"
)

func TestTheHeaderHasThisVersion(t *testing.T) {
	header, err := os.ReadFile(filepath.Join("..", "..", "include", "dsl.h"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf(`#define DSL_VERSION_STRING "%s"`, Version), fmt.Sprintf("#define DSL_ABI_VERSION %d\n", ABIVersion),
		fmt.Sprintf("#define DSL_STAGE_DONE %d\n", train.Done), fmt.Sprintf("#define DSL_EVENT_GREW %d ", train.EventGrew), fmt.Sprintf("#define DSL_EVENT_NOTE %d ", train.EventNote)} {
		if !regexp.MustCompile(regexp.QuoteMeta(want)).Match(header) {
			t.Errorf("include/dsl.h lacks %q", want)
		}
	}
	for kind := errs.Invalid; kind <= errs.Internal; kind++ {
		if !regexp.MustCompile(fmt.Sprintf(`#define DSL_STATUS_[A-Z_]+ %d\b`, kind)).Match(header) {
			t.Errorf("include/dsl.h lacks status %d (%v)", kind, kind)
		}
	}
}

func TestDevices(t *testing.T) {
	t.Setenv("DSL_CUDA_DRIVER", "none") // a machine without a GPU
	for device, want := range map[string]errs.Kind{"": errs.OK, "auto": errs.OK, "cpu": errs.OK, "cuda": errs.Device, "cuda:3": errs.Device,
		"cuda:": errs.Invalid, "cuda:x": errs.Invalid, "cpu:0": errs.Invalid, "CPU": errs.Invalid} {
		if b, err := openBackend(device, "f32"); errs.KindOf(err) != want {
			t.Errorf("%q: got %v, want %v", device, err, want)
		} else if err == nil && b.Device() != "cpu, f32" {
			t.Errorf("%q: got %q, want the CPU", device, b.Device())
		}
	}
	if _, err := openBackend("cpu", "bf16"); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("bfloat16 on the CPU: got %v, want %v", err, errs.Unsupported)
	}
	if b, err := openBackend("auto", "int8"); err != nil || b.Device() != "cpu, int8" {
		t.Errorf("int8: got %v, %v, want the CPU's", b, err)
	}
	if _, err := openBackend("auto", "half"); errs.KindOf(err) != errs.Invalid {
		t.Errorf("an unknown precision: got %v, want %v", err, errs.Invalid)
	}
	if _, err := DescribeGPU(0); errs.KindOf(err) != errs.Device || !strings.Contains(err.Error(), "DSL_CUDA_DRIVER") {
		t.Errorf("the reason for no GPU: got %v", err)
	}
}

func TestArraysAreTheCPUsWhereThereIsNoGPU(t *testing.T) {
	t.Setenv("DSL_CUDA_DRIVER", "none") // a machine without a GPU
	for device, want := range map[string]errs.Kind{"": errs.OK, "auto": errs.OK, "cpu": errs.OK, "cuda": errs.Device, "gpu": errs.Invalid} {
		for _, work := range []float64{1, 1e15} {
			if on, err := arraysOn(device, work); errs.KindOf(err) != want || on != nil {
				t.Errorf("%q, %g multiply-adds: got %v, %v, want %v", device, work, on, err, want)
			}
		}
	}
}

func TestDatasetsInMemory(t *testing.T) {
	img := &Image{Width: 1, Height: 1, Pix: make([]uint8, 3)}
	d := NewDataset()
	for i, c := range []struct {
		sample Sample
		want   errs.Kind
	}{
		{Sample{Image: img, Label: 2}, errs.OK},
		{Sample{Image: img, Label: 0, Split: "val", Group: "a"}, errs.OK},
		{Sample{Image: nil, Label: 0}, errs.Invalid},
		{Sample{Image: img, Label: -1}, errs.Invalid},
		{Sample{Image: img, Label: 65536}, errs.Invalid},
		{Sample{Image: img, Split: "training"}, errs.Invalid},
	} {
		if err := d.Add(c.sample); errs.KindOf(err) != c.want {
			t.Errorf("sample %d: got %v, want %v", i, err, c.want)
		}
	}
	for split, want := range map[string]int{"": 2, "train": 1, "val": 1, "test": 0} {
		if n, err := d.Size(split); err != nil || n != want {
			t.Errorf("split %q: got %d, %v, want %d", split, n, err, want)
		}
	}
	if _, err := d.Size("all"); errs.KindOf(err) != errs.Invalid {
		t.Errorf("an unknown split: got %v", err)
	}
}

func TestACancelledContextStopsATrainingBeforeItBegins(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	d := NewDataset()
	for i := range 40 {
		if err := d.Add(Sample{Image: &Image{Width: 9, Height: 9, Pix: make([]uint8, 243)}, Label: int64(i % 2)}); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "m.dsl")
	_, err := Train(ctx, d, TrainOptions{OutPath: out, InputSize: 32}, nil)
	if errs.KindOf(err) != errs.Cancelled {
		t.Fatalf("got %v, want cancelled", err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
}
