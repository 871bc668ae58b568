package emulated

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"libdsl/lib/errs"
)

// Every machine runs what it built itself. The kernels' fused multiplications need the processor's own to be quick.
var flags = []string{"-std=c++17", "-O2", "-march=native", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
	"-fvisibility=hidden"}

// folder is this package's source folder, found from the module's root: tests run in their own package's folder.
func folder() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", errs.Wrap(errs.IO, err, "emulated: no working folder")
	}
	for {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return filepath.Join(at, "lib/backend/cuda/emulated"), nil
		}
		if at == filepath.Dir(at) {
			return "", errs.New(errs.NotFound, "emulated: no go.mod above the working folder: run tests inside the module")
		}
		at = filepath.Dir(at)
	}
}

// build compiles a double into a folder named by what it is made of, and returns the library's path.
func build(d double, driver string) (string, error) {
	at, err := folder()
	if err != nil {
		return "", err
	}
	key, err := digest(at, d, driver)
	if err != nil {
		return "", err
	}
	home := filepath.Join(os.TempDir(), fmt.Sprintf("libdsl-emulated-%d", os.Getuid()), key)
	path := filepath.Join(home, d.file)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", errs.Wrap(errs.IO, err, "emulated: no folder for the libraries")
	}
	// Several test programs may build it at once: each its own file, and the last one wins.
	made := fmt.Sprintf("%s.%d", path, os.Getpid())
	args := append(append([]string{}, flags...), "-o", made, "-Wl,-soname,"+d.file)
	sources, err := files(at, d.compile)
	if err != nil {
		return "", err
	}
	args = append(args, sources...)
	if d.driver {
		args = append(args, driver, "-Wl,-rpath,"+filepath.Dir(driver))
	}
	if out, err := exec.Command("g++", append(args, "-ldl", "-pthread")...).CombinedOutput(); err != nil {
		return "", errs.Wrap(errs.Internal, err, "emulated: %s does not build:\n%s", d.file, out)
	}
	if d.alias != "" {
		if err := os.Symlink(d.file, filepath.Join(home, d.alias)); err != nil && !os.IsExist(err) {
			return "", errs.Wrap(errs.IO, err, "emulated: %s", d.alias)
		}
	}
	if err := os.Rename(made, path); err != nil {
		return "", errs.Wrap(errs.IO, err, "emulated: %s", d.file)
	}
	return path, nil
}

// digest names what a double is made of: flags, sources, headers, and the driver that it links against.
func digest(at string, d double, driver string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, flags, d, driver)
	all, err := files(at, append(append([]string{}, d.compile...), d.headers...))
	if err != nil {
		return "", err
	}
	for _, f := range all {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", errs.Wrap(errs.IO, err, "emulated: a source cannot be read")
		}
		fmt.Fprintf(h, "%s %x\n", strings.TrimPrefix(f, at), sha256.Sum256(text))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// files lists what matches the patterns, each of which must match something.
func files(at string, patterns []string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		some, err := filepath.Glob(filepath.Join(at, pattern))
		if err != nil || len(some) == 0 {
			return nil, errs.New(errs.NotFound, "emulated: no file matches %q", pattern)
		}
		all = append(all, some...)
	}
	return all, nil
}
