package modelfile

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// The test binary starts itself as a child that writes; these say what the child does, in which folder.
const (
	childTask = "MODELFILE_TEST_CHILD"
	writeLoop = "write until killed"
	writeFull = "write where a file may have 64 KiB"
	writeDeny = "write as nobody"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		if err := runChild(task); err != nil {
			fmt.Println(errs.KindOf(err), err)
		}
		return
	}
	os.Exit(m.Run())
}

// runChild runs in the folder that it shall write to.
func runChild(task string) error {
	f := noisyCheckpoint(1 << 18)
	switch task {
	case writeFull:
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}); err != nil {
			return err
		}
	case writeDeny:
		if os.Getuid() == 0 {
			if err := syscall.Setuid(65534); err != nil {
				return err
			}
		}
	case writeLoop:
		fault = func(step string) error { _, err := fmt.Println(step); return err }
		f.Checkpoint.Ints[0].Value = int64(os.Getpid()) << 32 // so that each child's files differ from the last one's
		for {
			f.Checkpoint.Ints[0].Value++
			if err := Write("m.dsl", f); err != nil {
				return err
			}
			fmt.Println("done")
		}
	}
	return Write("m.dsl", f)
}

func startChild(t *testing.T, task, folder string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), childTask+"="+task)
	cmd.Dir = folder
	return cmd
}

// noisyCheckpoint has n weights that do not compress.
func noisyCheckpoint(n int32) *File {
	f := smallCheckpoint()
	s := rng.New(4, "noise")
	data := make([]float32, n)
	for i := range data {
		data[i] = float32(s.NormFloat64())
	}
	f.Tensors = append(f.Tensors, Tensor{"noise", []int32{n}, data})
	return f
}

// onlyFile fails when folder holds anything but m.dsl (nothing, if want is nil) or m.dsl differs from want.
func onlyFile(t *testing.T, folder string, want *File) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "m.dsl" || want == nil {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if want != nil {
		got, err := Read(filepath.Join(folder, "m.dsl"), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		sameContent(t, got, want)
	}
}

func TestAFailureAtAnyStepLeavesTheOldFileAndNothingElse(t *testing.T) {
	defer func() { fault = nil }()
	old, young := smallModel(), smallCheckpoint()
	for _, failing := range []string{"create", "write", "sync", "verify", "rename", "sync folder"} {
		t.Run(failing, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "m.dsl")
			fault = nil
			if err := Write(path, old); err != nil {
				t.Fatal(err)
			}
			fault = func(step string) error {
				if step == failing {
					return &os.PathError{Op: step, Path: path, Err: syscall.ENOSPC}
				}
				return nil
			}
			err := Write(path, young)
			if errs.KindOf(err) != errs.IO || !errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), folder) {
				t.Errorf("got %v, want IO, no space, and no path", err)
			}
			want := old
			if failing == "sync folder" {
				want = young
				if !strings.Contains(err.Error(), "written, but") {
					t.Errorf("got %v, want it to say that the file was written", err)
				}
			}
			onlyFile(t, folder, want)
		})
	}
}

// TestBytesDamagedOnTheirWayToTheDiskAreNoticed changes the temporary file between its flush and its check.
func TestBytesDamagedOnTheirWayToTheDiskAreNoticed(t *testing.T) {
	defer func() { fault = nil }()
	folder := t.TempDir()
	fault = func(step string) error {
		temps, err := filepath.Glob(filepath.Join(folder, ".dsl-*.tmp"))
		if step != "verify" || err != nil {
			return err
		}
		return os.Truncate(temps[0], 500)
	}
	if err := Write(filepath.Join(folder, "m.dsl"), smallModel()); err == nil || !strings.Contains(err.Error(), "reading it back") {
		t.Errorf("got %v", err)
	}
	onlyFile(t, folder, nil)
}

func TestPlacesThatCannotBeWrittenTo(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	taken := filepath.Join(t.TempDir(), "m.dsl")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, path string
		kind       errs.Kind
	}{
		{"a folder that does not exist", filepath.Join(folder, "none", "m.dsl"), errs.NotFound},
		{"a folder that is a file", filepath.Join(file, "m.dsl"), errs.IO},
		{"a name that is a folder's", taken, errs.IO},
		{"a name of 300 bytes", filepath.Join(t.TempDir(), strings.Repeat("m", 300)), errs.IO},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := Write(c.path, smallModel())
			if errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), filepath.Base(c.path)) || strings.Contains(err.Error(), folder) {
				t.Errorf("got %v, want %v with the file's base name", err, c.kind)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(c.path), ".dsl-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestTheSystemRefusesWrites(t *testing.T) {
	for task, want := range map[string]string{writeFull: "file too large", writeDeny: "permission denied"} {
		t.Run(task, func(t *testing.T) {
			folder := t.TempDir()
			if task == writeDeny {
				if err := os.Chmod(folder, 0o555); err != nil {
					t.Fatal(err)
				}
			}
			out, err := startChild(t, task, folder).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := string(out); !strings.HasPrefix(got, errs.IO.String()) || !strings.Contains(got, want) {
				t.Errorf("got %q, want %q, %q", got, errs.IO, want)
			}
			onlyFile(t, folder, nil)
		})
	}
}

// TestAFileLoadsAfterKill9 kills a process that writes without pause: each time at another step of a write that is not
// its first, up to a millisecond after the step began.
func TestAFileLoadsAfterKill9(t *testing.T) {
	const kills = 20
	folder := t.TempDir()
	path := filepath.Join(folder, "m.dsl")
	want := noisyCheckpoint(1 << 18)
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	steps := []string{"create", "write", "sync", "verify", "rename", "sync folder", "done"}
	s := rng.New(5, "kill")
	advanced, interrupted := 0, 0
	for i := range kills {
		cmd := startChild(t, writeLoop, folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for _, step := range []string{"done", steps[i%len(steps)]} {
			for lines.Scan() && lines.Text() != step {
			}
		}
		time.Sleep(time.Duration(s.IntN(1000)) * time.Microsecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("the child ended by itself: %v", err)
		}
		left := len(temps(t, folder))
		if left > 1 {
			t.Fatalf("%d temporary files: a write did not remove that of the child before", left)
		}
		interrupted += left
		got, err := Read(path, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Checkpoint.Ints[0].Value != want.Checkpoint.Ints[0].Value {
			advanced++
		}
		want.Checkpoint.Ints[0].Value = got.Checkpoint.Ints[0].Value
		sameContent(t, got, want)
	}
	t.Logf("%d of %d children wrote, %d were killed in the middle of a write", advanced, kills, interrupted)
	if advanced < kills || interrupted == 0 {
		t.Error("children did not write, or no kill fell into a write: the test shows nothing")
	}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, folder, want)
}

// temps are the temporary files in a folder.
func temps(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, ".dsl-*.tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAWriteLeavesTheTemporaryFilesOfOthersAlone(t *testing.T) {
	folder := t.TempDir()
	path, other := filepath.Join(folder, "m.dsl"), filepath.Join(folder, "other.dsl")
	mine, err := createTemp(path) // a writer that goes on
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := createTemp(other) // one of another target, which was killed
	if err != nil {
		t.Fatal(err)
	}
	foreign.Close()
	if err := os.Symlink(other, filepath.Join(folder, tempPrefix(path)+"link"+tempSuffix)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		left int
	}{{path, 3}, {other, 2}} {
		if err := Write(c.path, smallModel()); err != nil {
			t.Fatal(err)
		}
		if got := temps(t, folder); len(got) != c.left {
			t.Errorf("%d temporary files after a write of %s, want %d", len(got), filepath.Base(c.path), c.left)
		}
	}
	if err := os.Rename(mine.Name(), path); err != nil {
		t.Errorf("the writer that goes on lost its file: %v", err)
	}
	mine.Close()
	onlyStale, err := createTemp(path)
	if err != nil {
		t.Fatal(err)
	}
	onlyStale.Close()
	if err := Write(path, smallModel()); err != nil || len(temps(t, folder)) != 1 {
		t.Errorf("%v; left: %v, want the link alone", err, temps(t, folder))
	}
}

func TestProcessesThatWriteOnePathDoNotDisturbEachOther(t *testing.T) {
	folder := t.TempDir()
	var children []*exec.Cmd
	var outs []*bufio.Scanner
	for range 3 {
		cmd := startChild(t, writeLoop, folder)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, outs = append(children, cmd), append(outs, bufio.NewScanner(out))
	}
	for i, out := range outs {
		last, writes := "", 0
		for writes < 15 && out.Scan() { // a child that fails says why and ends
			if last = out.Text(); last == "done" {
				writes++
			}
		}
		if writes < 15 {
			t.Errorf("writer %d: ended after %d writes: %s", i, writes, last)
		}
	}
	for _, cmd := range children {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
	}
	if _, err := Read(filepath.Join(folder, "m.dsl"), Limits{}); err != nil {
		t.Error(err)
	}
}

func TestConcurrentWritersAndReadersOfOnePath(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "m.dsl")
	if err := Write(path, noisyCheckpoint(1000)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			f := noisyCheckpoint(int32(1000 * (g + 1)))
			for range 5 {
				if err := Write(path, f); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for range 20 {
				if _, err := Read(path, Limits{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := Read(path, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	onlyFile(t, folder, noisyCheckpoint(got.Tensors[2].Shape[0]))
}

func TestPlacesThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	pipe := filepath.Join(folder, "pipe.dsl")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(folder, "empty.dsl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		kind       errs.Kind
	}{
		{"a file that does not exist", filepath.Join(folder, "none.dsl"), errs.NotFound},
		{"a folder", folder, errs.IO},
		{"a named pipe", pipe, errs.IO},
		{"a device without end", "/dev/zero", errs.IO},
		{"an empty file", empty, errs.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(c.path, Limits{})
			if errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), `"`+filepath.Base(c.path)+`"`) {
				t.Errorf("got %v, want %v with the base name", err, c.kind)
			}
			if strings.Contains(err.Error(), filepath.Dir(folder)) {
				t.Errorf("got %v, which holds a path", err)
			}
		})
	}
}
