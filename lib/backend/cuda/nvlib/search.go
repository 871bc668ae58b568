package nvlib

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// wanted is a library to look for.
type wanted struct {
	title    string   // for messages
	variable string   // the environment variable with its path; "" for none
	soname   string   // its file name
	wheels   []string // folders below Python's site-packages where wheels put it
	needs    string   // a library beside it that it needs, and that the system's loader may not find; "" for none
	install  string   // what to do when there is none
}

// search is where libraries are looked for.
type search struct {
	getenv func(string) string
	added  []string // folders that the program named
	own    string   // the folder of libdsl.so
}

// place is one try: a file, or a name for the system's loader.
type place struct {
	path   string
	loaded bool // take it only if somebody has loaded it
}

// places lists where a library may be, in the order of trying. A path in the variable is the only place then. What the process has loaded comes
// first: two cuDNN in one process would mix their parts.
func (s search) places(w wanted) []place {
	if w.variable != "" {
		if path := s.getenv(w.variable); path != "" {
			return []place{{path: path}}
		}
	}
	all := []place{{path: w.soname, loaded: true}}
	for _, folder := range s.environmentFolders(w) {
		all = append(all, place{path: filepath.Join(folder, w.soname)})
	}
	all = append(all, place{path: w.soname})
	for _, folder := range s.systemFolders(w) {
		all = append(all, place{path: filepath.Join(folder, w.soname)})
	}
	return all
}

// environmentFolders are folders named by the program, those beside libdsl.so, which as a wheel lies in site-packages/dsl, and those of an
// activated Python or Conda environment.
func (s search) environmentFolders(w wanted) []string {
	folders := slices.Clone(s.added)
	if s.own != "" {
		folders = append(folders, s.own, filepath.Join(s.own, "dsl"))
		folders = append(folders, below(filepath.Dir(s.own), w.wheels)...)
	}
	if env := s.getenv("VIRTUAL_ENV"); env != "" {
		folders = append(folders, sitePackages(filepath.Join(env, "lib/python3*/site-packages"), w)...)
	}
	if env := s.getenv("CONDA_PREFIX"); env != "" {
		folders = append(folders, filepath.Join(env, "lib"))
		folders = append(folders, sitePackages(filepath.Join(env, "lib/python3*/site-packages"), w)...)
	}
	return folders
}

// systemFolders are a CUDA toolkit's, the system's, and those of the system's Python.
func (s search) systemFolders(w wanted) []string {
	var folders []string
	if home := s.getenv("CUDA_HOME"); home != "" {
		folders = append(folders, filepath.Join(home, "lib64"))
	}
	folders = append(folders, "/usr/local/cuda/lib64")
	versions, _ := filepath.Glob("/usr/local/cuda-*/lib64")
	folders = append(folders, versions...)
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	folders = append(folders, "/usr/lib/"+arch+"-linux-gnu", "/usr/lib64")
	for _, pattern := range []string{"/usr/local/lib/python3*/*-packages", "/usr/lib/python3*/*-packages"} {
		folders = append(folders, sitePackages(pattern, w)...)
	}
	return folders
}

// sitePackages are the wheels' folders in all site-packages that match a pattern. The pattern has no mistakes, so Glob cannot fail.
func sitePackages(pattern string, w wanted) []string {
	var folders []string
	sites, _ := filepath.Glob(pattern)
	for _, site := range sites {
		folders = append(folders, below(site, w.wheels)...)
	}
	return folders
}

func below(folder string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, filepath.Join(folder, name))
	}
	return all
}

// report collects what was tried in vain.
type report struct {
	absent   []string // folders without the file
	unusable []string // what was found, and why it cannot be used
	loader   string   // the system loader's reason
}

// missing reports whether a place is a folder without the file, and notes it.
func (r *report) missing(p place) bool {
	if !strings.Contains(p.path, "/") {
		return false
	}
	if _, err := os.Stat(p.path); err == nil {
		return false
	}
	r.absent = append(r.absent, filepath.Dir(p.path))
	return true
}

// refused notes that a place's library cannot be loaded.
func (r *report) refused(p place, why error) {
	switch {
	case p.loaded:
	case strings.Contains(p.path, "/"):
		r.unusable = append(r.unusable, fmt.Sprintf("%s cannot be loaded: %v", p.path, why))
	default:
		r.loader = why.Error()
	}
}

// String is what comes after "no X was found: ".
func (r *report) String() string {
	parts := []string{"not among the loaded libraries"}
	if len(r.absent) > 0 {
		parts = append(parts, "not in "+strings.Join(r.absent, ", "))
	}
	if r.loader != "" {
		parts = append(parts, "not where the system's loader looks ("+r.loader+")")
	}
	return strings.Join(append(parts, r.unusable...), "; ")
}
