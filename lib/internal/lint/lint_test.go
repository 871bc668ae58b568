package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../../.."

const module = "libdsl/"

// nativeExts are the extensions of the sources that cgo compiles.
var nativeExts = []string{".c", ".cc", ".cpp", ".cxx", ".h", ".hpp"}

func TestCodeStaysInsideTheImportRules(t *testing.T) {
	seen := 0
	for _, top := range []string{"lib", "capi"} {
		err := fs.WalkDir(os.DirFS(root), top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if d != nil && d.Name() == "testdata" {
					return fs.SkipDir
				}
				return err
			}
			if ext := path.Ext(name); ext != ".go" && !slices.Contains(nativeExts, ext) || d.Type() == fs.ModeSymlink { // capi/dsl.h is include/dsl.h
				return nil
			}
			src, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return err
			}
			seen++
			for _, finding := range check(name, string(src)) {
				t.Error(finding)
			}
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if seen < 10 {
		t.Fatalf("only %d source files found under %s", seen, root)
	}
}

func TestSameLevelArrowsPointToThatLevel(t *testing.T) {
	for name, r := range packages {
		for _, to := range r.same {
			if target, ok := packages[to]; !ok || target.level != r.level {
				t.Errorf("the list gives %s an arrow to %s, which is not a package of level %d", name, to, r.level)
			}
		}
	}
}

// check returns the findings of one source file; name is its path from the repository root.
func check(name, src string) []string {
	pkg := packageOf(name)
	own, ok := packages[pkg]
	if !ok {
		return []string{fmt.Sprintf("%s: package %q is not in the list of lib/internal/lint/rules_test.go: add it with its level", name, pkg)}
	}
	if path.Ext(name) != ".go" {
		return checkNative(name, pkg, src)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	var findings []string
	for _, spec := range file.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		if broken := checkImport(pkg, own, target, strings.HasSuffix(name, "_test.go")); broken != "" {
			findings = append(findings, fmt.Sprintf("%s: imports %q: %s", name, target, broken))
		}
	}
	return append(findings, checkNative(name, pkg, nativeText(file))...)
}

// packageOf is the list's name of a file's package.
func packageOf(name string) string {
	pkg := strings.TrimPrefix(path.Dir(name), "lib/")
	if i := strings.Index(pkg, "/internal/"); i >= 0 {
		return pkg[:i]
	}
	return pkg
}

// checkImport returns the rule that an import breaks, or nothing.
func checkImport(pkg string, own rule, target string, inTest bool) string {
	if rest, ok := strings.CutPrefix(target, module); ok {
		to := packageOf(rest + "/x.go")
		other, known := packages[to]
		allowed := to == pkg || known && (other.level < own.level || slices.Contains(own.same, to)) ||
			inTest && slices.Contains(testOnly[pkg], to)
		if !allowed {
			return fmt.Sprintf("%s (level %d) may import lower levels and %v of its own; %s has level %d",
				pkg, own.level, own.same, to, other.level)
		}
		return ""
	}
	for prefix, who := range owners {
		if target == prefix || strings.HasPrefix(target, prefix+"/") {
			if slices.Contains(who, pkg) {
				return ""
			}
			return fmt.Sprintf("only %v may import %s", who, prefix)
		}
	}
	if first, _, _ := strings.Cut(target, "/"); strings.Contains(first, ".") {
		return "no package may import this module; owners in rules_test.go lists those in use"
	}
	return ""
}

// checkNative looks for the words of native in C or C++ text.
func checkNative(name, pkg, text string) []string {
	var findings []string
	for word, who := range native {
		if strings.Contains(text, word) && !slices.Contains(who, pkg) {
			findings = append(findings, fmt.Sprintf("%s: has %q: only %v may", name, word, who))
		}
	}
	return findings
}

// nativeText is what of a Go file cgo reads: the comments before import "C", and the export directives.
func nativeText(file *ast.File) string {
	var text strings.Builder
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.IMPORT {
			continue
		}
		for _, spec := range gen.Specs {
			imp := spec.(*ast.ImportSpec)
			for _, doc := range []*ast.CommentGroup{imp.Doc, gen.Doc} {
				if doc != nil && imp.Path.Value == `"C"` {
					for _, c := range doc.List {
						text.WriteString(c.Text + "\n")
					}
				}
			}
		}
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//export ") {
				text.WriteString(c.Text + "\n")
			}
		}
	}
	return text.String()
}

func TestCheckFindsEachKindOfBreach(t *testing.T) {
	imports := func(target string) string { return "package x\nimport _ \"" + target + "\"\n" }
	for _, c := range []struct {
		name, file, src, want string // want is part of the one finding; "" means none
	}{
		{"a lower level is allowed", "lib/miner/x.go", imports("libdsl/lib/errs"), ""},
		{"the standard library is allowed", "lib/miner/x.go", imports("math/rand/v2"), ""},
		{"a named package of the same level is allowed", "lib/miner/x.go", imports("libdsl/lib/distance"), ""},
		{"another of the same level is not", "lib/miner/x.go", imports("libdsl/lib/loss"), "miner (level 4)"},
		{"an arrow has one direction", "lib/plan/x.go", imports("libdsl/lib/backend"), "plan (level 2)"},
		{"a higher level is not allowed", "lib/errs/x.go", imports("libdsl/lib/dsl"), "errs (level 0)"},
		{"capi may import the facade", "capi/x.go", imports("libdsl/lib/dsl"), ""},
		{"nobody may import capi", "lib/dsl/x.go", imports("libdsl/capi"), "dsl (level 8)"},
		{"a package's own internals are allowed", "lib/modelfile/x.go", imports("libdsl/lib/modelfile/internal/fb"), ""},
		{"internals follow their package's rule", "lib/modelfile/internal/fb/x.go", imports("libdsl/lib/train"), "modelfile (level 6)"},
		{"a test may import what its list says", "lib/backend/onednn/x_test.go", imports("libdsl/lib/backend/backendtest"), ""},
		{"code may not import what is for tests", "lib/backend/onednn/x.go", imports("libdsl/lib/backend/backendtest"), "backend/onednn (level 3)"},
		{"a test follows its package's rule too", "lib/ir/x_test.go", imports("libdsl/lib/graph"), "ir (level 1)"},
		{"a package outside the list is found", "lib/util/x.go", "package util\n", "is not in the list"},
		{"an owner may import its module", "lib/graph/x.go", imports("gorgonia.org/gorgonia"), ""},
		{"another may not", "lib/nn/x.go", imports("gorgonia.org/gorgonia"), "only [graph]"},
		{"nor a folder of the module", "lib/train/x.go", imports("github.com/klauspost/compress/zstd"), "only [modelfile]"},
		{"nor in a test", "lib/train/x_test.go", imports("image/png"), "only [imageio "},
		{"a prefix of a word is another module", "lib/backend/cuda/x.go", imports("gorgonia.org/cutter"), "no package may import"},
		{"an unlisted module is found", "lib/loss/x.go", imports("gonum.org/v1/gonum/mat"), "no package may import"},
		{"cgo outside its owners is found", "lib/loss/x.go", imports("C"), "imports \"C\": only"},
		{"oneDNN in cgo text is found", "lib/imageio/x.go", "package x\n\n// #cgo LDFLAGS: -ldnnl\nimport \"C\"\n", `has "dnnl"`},
		{"oneDNN in a comment is not", "lib/imageio/x.go", "package x\n\n// dnnl is nice\nconst A = 1\n", ""},
		{"oneDNN in C++ is found", "lib/backend/cuda/x.cpp", "#include <oneapi/dnnl/dnnl.h>\n", `has "dnnl"`},
		{"oneDNN's owner may use it", "lib/backend/onednn/x.cpp", "#include <oneapi/dnnl/dnnl.h>\n", ""},
		{"the driver's package may import cu", "lib/backend/cuda/driver/x.go", imports("gorgonia.org/cu"), ""},
		{"the backend may not", "lib/backend/cuda/x.go", imports("gorgonia.org/cu"), "only [backend/cuda/driver]"},
		{"a test may use the emulated driver", "lib/backend/cuda/x_test.go", imports("libdsl/lib/backend/cuda/emulated"), ""},
		{"code may not", "lib/backend/cuda/x.go", imports("libdsl/lib/backend/cuda/emulated"), "backend/cuda (level 3)"},
		{"CUDA's header outside the driver's package is found", "lib/backend/cuda/nvlib/x.c", "#include <cuda.h>\n", `has "cuda.h"`},
		{"cuDNN outside its owner is found", "lib/backend/cuda/driver/x.c", "int cudnnCreate(void);\n", `has "cudnn"`},
		{"an export outside capi is found", "lib/dsl/x.go", "package x\n\n//export f\nfunc f() {}\n", `has "//export "`},
		{"an export in capi is allowed", "capi/x.go", "package x\n\n//export f\nfunc f() {}\n", ""},
	} {
		got := check(c.file, c.src)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
