package nvlib

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"libdsl/lib/errs"
)

// library compiles a shared library of functions that return 0, but for those with a value of their own, and returns its path.
func library(t *testing.T, folder, name, prefix string, functions []string, values map[string]string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("#include <stddef.h>\n")
	for _, f := range functions {
		body, ok := values[f]
		if !ok {
			body = "return 0;"
		}
		fmt.Fprintf(&text, "size_t %s%s(int p, int *v) { (void)p; (void)v; %s }\n", prefix, f, body)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(folder, name+".c")
	if err := os.WriteFile(source, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, name)
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-Wl,-soname,"+name, "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return path
}

var cudnnFunctions = strings.Fields("Create Destroy SetStream GetVersion GetCudartVersion GetErrorString GetLastErrorString " +
	"BackendCreateDescriptor BackendDestroyDescriptor BackendFinalize BackendSetAttribute BackendGetAttribute BackendExecute")

var cublasFunctions = strings.Fields("Create_v2 Destroy_v2 SetStream_v2 SetWorkspace_v2 GetProperty GetStatusString GemmEx")

func tinyCUDNN(t *testing.T, version, cudart int) string {
	t.Helper()
	folder := t.TempDir()
	library(t, folder, "libcudnn_graph.so.9", "part", []string{"Of"}, nil)
	return library(t, folder, "libcudnn.so.9", "cudnn", cudnnFunctions,
		map[string]string{"GetVersion": fmt.Sprintf("return %d;", version), "GetCudartVersion": fmt.Sprintf("return %d;", cudart)})
}

func tinyCUBLAS(t *testing.T, major int) string {
	t.Helper()
	return library(t, t.TempDir(), fmt.Sprintf("libcublas.so.%d", major), "cublas", cublasFunctions,
		map[string]string{"GetProperty": fmt.Sprintf("*v = p == 0 ? %d : p; return 0;", major)})
}

// without is a list without one of its words.
func without(all []string, word string) []string {
	var rest []string
	for _, w := range all {
		if w != word {
			rest = append(rest, w)
		}
	}
	return rest
}

func environment(values map[string]string) search {
	return search{getenv: func(name string) string { return values[name] }}
}

func textFile(t *testing.T, folder, name string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte("this is no library\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLibrariesOfTheDriversFamilyAreOpened(t *testing.T) {
	for _, c := range []struct {
		name                        string
		driver, cudnn, cudart, blas int
		wantCUDNN, wantBLAS         string
		wantCUDA                    int
	}{
		{"those for CUDA 12 with a driver of 12", 12040, 90600, 12060, 12, "9.6.0", "12.1.2", 12},
		{"those for CUDA 13 with a driver of 13", 13000, 91302, 13000, 13, "9.13.2", "13.1.2", 13},
		{"those for CUDA 12 with a driver of 13", 13020, 90101, 12040, 12, "9.1.1", "12.1.2", 12},
	} {
		dnn, blas := tinyCUDNN(t, c.cudnn, c.cudart), tinyCUBLAS(t, c.blas)
		l, err := open(c.driver, environment(map[string]string{"DSL_CUDNN_LIBRARY": dnn, "DSL_CUBLAS_LIBRARY": blas}))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if l.CUDNN != (Library{dnn, c.wantCUDNN}) || l.CUBLAS != (Library{blas, c.wantBLAS}) || l.CUDA != c.wantCUDA {
			t.Errorf("%s: got %+v", c.name, l)
		}
	}
}

func TestALibraryThatCannotBeUsedIsAnErrorThatSaysWhy(t *testing.T) {
	folder := t.TempDir()
	good := tinyCUDNN(t, 90600, 12060)
	broken := tinyCUDNN(t, 90600, 12060)
	textFile(t, filepath.Dir(broken), "libcudnn_ops.so.9")
	for _, c := range []struct {
		name      string
		driver    int
		dnn, blas string
		want      []string
	}{
		{"a text file", 12040, textFile(t, folder, "text.so"), "", []string{"DSL_CUDNN_LIBRARY is to be cuDNN 9", "text.so cannot be loaded"}},
		{"no file", 12040, filepath.Join(folder, "none.so"), "", []string{"DSL_CUDNN_LIBRARY", "there is no file", "none.so"}},
		{"a name that the loader does not find", 12040, "libdsl_absent.so.9", "", []string{"DSL_CUDNN_LIBRARY", "libdsl_absent.so.9: cannot open"}},
		{"a missing function", 12040, library(t, folder, "less.so", "cudnn", without(cudnnFunctions, "BackendExecute"), nil), "",
			[]string{"it has no function cudnnBackendExecute"}},
		{"an old cuDNN", 12040, tinyCUDNN(t, 8907, 12060), "", []string{"it is cuDNN 8.9.7, and 9.0 or later is needed"}},
		{"a cuDNN that is too new for the driver", 12040, tinyCUDNN(t, 91300, 13000), "",
			[]string{"it is built for CUDA 13, and the driver runs libraries for CUDA 12"}},
		{"a cuDNN for CUDA 11", 13000, tinyCUDNN(t, 90101, 11080), "", []string{"it is built for CUDA 11", "for CUDA 13 or 12"}},
		{"a cuDNN with a broken part", 12040, broken, "", []string{"its part libcudnn_ops.so.9 cannot be loaded"}},
		{"a cuBLAS that is a text file", 12040, good, textFile(t, folder, "blas.so"), []string{"DSL_CUBLAS_LIBRARY is to be cuBLAS 12"}},
		{"a cuBLAS without a function", 12040, good,
			library(t, folder, "lessblas.so", "cublas", without(cublasFunctions, "GemmEx"), nil), []string{"it has no function cublasGemmEx"}},
		{"a cuBLAS of another family", 12040, good, tinyCUBLAS(t, 11), []string{"it is cuBLAS 11.1.2, and cuDNN is built for CUDA 12"}},
	} {
		_, err := open(c.driver, environment(map[string]string{"DSL_CUDNN_LIBRARY": c.dnn, "DSL_CUBLAS_LIBRARY": c.blas}))
		if errs.KindOf(err) != errs.Device {
			t.Errorf("%s: got %v, want a Device error", c.name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %q, want it to say %q", c.name, err, want)
			}
		}
	}
}

// The test runs in a process of its own, as the parts of another test's cuDNN would do in this one.
func TestACUDNNWithoutItsPartsIsRefusedBeforeItEndsTheProcess(t *testing.T) {
	const variable = "DSL_NVLIB_TEST_ALONE"
	if path := os.Getenv(variable); path != "" {
		_, err := open(12040, environment(map[string]string{"DSL_CUDNN_LIBRARY": path}))
		fmt.Println(err)
		return
	}
	alone := library(t, t.TempDir(), "libcudnn.so.9", "cudnn", cudnnFunctions, map[string]string{"GetVersion": "__builtin_trap();"})
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), variable+"="+alone)
	out, err := child.CombinedOutput()
	if want := "its part libcudnn_graph.so.9 cannot be loaded"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v, %q, want it to say %q", err, out, want)
	}
}

// tool is a library that no machine has.
var tool = wanted{title: "a tool", variable: "DSL_TOOL_LIBRARY", soname: "libdsl_tool.so.7", wheels: []string{"nvidia/tool/lib"},
	install: "\"pip install tool\""}

func anything(unsafe.Pointer, string) error { return nil }

func TestWhatWasSearchedAndWhatToDoIsInTheError(t *testing.T) {
	added := t.TempDir()
	bad := textFile(t, added, tool.soname)
	s := environment(map[string]string{"VIRTUAL_ENV": "/venv", "CONDA_PREFIX": "/conda", "CUDA_HOME": "/cuda"})
	s.added, s.own = []string{added, "/more"}, "/site/dsl"
	_, err := s.find(tool, anything)
	if errs.KindOf(err) != errs.Device {
		t.Fatalf("got %v, want a Device error", err)
	}
	for _, want := range []string{"no a tool was found", "not among the loaded libraries", "/more", "/site/dsl,",
		"/site/nvidia/tool/lib", "/conda/lib", "/cuda/lib64", "/usr/local/cuda/lib64", "not where the system's loader looks (libdsl_tool.so.7: cannot open", bad + " cannot be loaded: ",
		`Install it with "pip install tool", or set DSL_TOOL_LIBRARY to the path of its libdsl_tool.so.7`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
}

func TestPlacesComeInTheDocumentedOrder(t *testing.T) {
	root := t.TempDir()
	for _, env := range []string{"venv", "conda"} {
		if err := os.MkdirAll(filepath.Join(root, env, "lib/python3.12/site-packages"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := environment(map[string]string{"VIRTUAL_ENV": root + "/venv", "CONDA_PREFIX": root + "/conda", "CUDA_HOME": "/cuda"})
	s.added, s.own = []string{"/added"}, "/site/dsl"
	want := []place{{tool.soname, true}}
	for _, folder := range []string{"/added", "/site/dsl", "/site/dsl/dsl", "/site/nvidia/tool/lib",
		root + "/venv/lib/python3.12/site-packages/nvidia/tool/lib", root + "/conda/lib",
		root + "/conda/lib/python3.12/site-packages/nvidia/tool/lib"} {
		want = append(want, place{path: folder + "/" + tool.soname})
	}
	want = append(want, place{path: tool.soname}, place{path: "/cuda/lib64/" + tool.soname}, place{path: "/usr/local/cuda/lib64/" + tool.soname})
	got := s.places(tool)
	if len(got) < len(want) {
		t.Fatalf("got %v, want it to begin with %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("place %d: got %v, want %v", i, got[i], want[i])
		}
	}
	only := environment(map[string]string{tool.variable: "/here.so"}).places(tool)
	if len(only) != 1 || only[0] != (place{path: "/here.so"}) {
		t.Errorf("with the variable: got %v, want its file alone", only)
	}
}

func TestAnUnusableFileDoesNotEndTheSearch(t *testing.T) {
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	textFile(t, first, tool.soname)
	refused := library(t, second, tool.soname, "tool", []string{"Refused"}, nil)
	good := library(t, third, tool.soname, "tool", []string{"Good"}, nil)
	s := environment(nil)
	s.added = []string{first, second, third}
	got, err := s.find(tool, func(_ unsafe.Pointer, path string) error {
		if path == refused {
			return errs.New(errs.Device, "no")
		}
		return nil
	})
	if err != nil || got != good {
		t.Errorf("got %q, %v, want %q", got, err, good)
	}
}

func TestWhatALibraryNeedsIsFoundBesideIt(t *testing.T) {
	folder := t.TempDir()
	needed := library(t, folder, "libdsl_needed.so.7", "needed", []string{"By"}, nil)
	path := filepath.Join(folder, "libdsl_needing.so.7")
	if out, err := exec.Command("gcc", "-shared", "-Wl,--no-as-needed", "-o", path, needed).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	w := wanted{variable: "PATH_OF_IT", soname: "libdsl_needing.so.7", needs: "libdsl_needed.so.7"}
	s := environment(map[string]string{w.variable: path})
	if got, err := s.find(w, anything); err != nil || got != path {
		t.Errorf("got %q, %v, want %q", got, err, path)
	}
}

func TestWhatTheProcessHasLoadedComesFirst(t *testing.T) {
	loaded := library(t, t.TempDir(), "libdsl_loaded.so.7", "tool", []string{"Loaded"}, nil)
	other := t.TempDir()
	library(t, other, "libdsl_loaded.so.7", "tool", []string{"Other"}, nil)
	if _, err := dlopen(place{path: loaded}); err != nil {
		t.Fatal(err)
	}
	s := environment(nil)
	s.added = []string{other}
	got, err := s.find(wanted{soname: "libdsl_loaded.so.7"}, anything)
	if err != nil || got != loaded {
		t.Errorf("got %q, %v, want %q", got, err, loaded)
	}
}

func TestVariablesAreReadWhereAProgramSetsThem(t *testing.T) {
	t.Setenv("DSL_NVLIB_TEST", "set")
	if got := getenv("DSL_NVLIB_TEST"); got != "set" {
		t.Errorf("got %q, want %q", got, "set")
	}
	if got := getenv("DSL_NVLIB_ABSENT"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestAdviceNamesThePackagesOfTheFamily(t *testing.T) {
	for _, c := range []struct {
		w    wanted
		want string
	}{
		{cudnnWanted(12), "nvidia-cudnn-cu12"}, {cudnnWanted(13), "nvidia-cudnn-cu13"},
		{cublasWanted(12), "nvidia-cublas-cu12"}, {cublasWanted(13), "pip install nvidia-cublas\""},
	} {
		if !strings.Contains(c.w.install, c.want) {
			t.Errorf("%s: got %q, want it to name %q", c.w.title, c.w.install, c.want)
		}
	}
	if got := cublasWanted(13).wheels[0]; got != "nvidia/cu13/lib" {
		t.Errorf("cuBLAS 13's wheel: got %q", got)
	}
}
