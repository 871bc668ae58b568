package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"libdsl/lib/errs"
)

// Open reads a manifest when path is a file and a folder per class when it is a folder.
func Open(path string) (*Dataset, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, sourceError(filepath.Base(path), err)
	}
	if st.IsDir() {
		return ReadFolder(path)
	}
	return ReadManifest(path)
}

// sourceError strips the path from what the system says.
func sourceError(name string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "dataset: source %q: there is no such file or folder", name)
	}
	return errs.Wrap(errs.IO, err, "dataset: source %q: cannot read it", name)
}

// ReadManifest reads a CSV file with a header line and the columns
//
//	path,label[,class_name][,mask][,split][,group]
//
// in any order, others ignored; quoted cells and a UTF-8 byte order mark are fine. Paths (of pictures and masks) are
// relative to the CSV's folder. label is an integer from 0 to 65535; class_name must agree between rows of a label;
// split is train, val or test in every row, or the column is left out; an empty group cell means that the picture is
// a group of its own. Pictures are not opened; Check does that.
// Errors: NotFound, IO; Invalid with the line number for anything else.
func ReadManifest(path string) (*Dataset, error) {
	name := filepath.Base(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, sourceError(name, err)
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if bom, _ := in.Peek(3); string(bom) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
	m := manifest{name: name, dir: filepath.Dir(path), rows: csv.NewReader(in), out: newBuilder(),
		seen: map[string]int{}}
	m.rows.ReuseRecord = true
	if err := m.header(); err != nil {
		return nil, err
	}
	for {
		cells, err := m.rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, m.csvError(err)
		}
		if err := m.row(cells); err != nil {
			return nil, err
		}
	}
	return m.out.finish(name)
}

type manifest struct {
	name, dir string
	rows      *csv.Reader
	out       *builder
	seen      map[string]int // path to line

	path, label, class, mask, split, group int // columns, -1 when missing
}

func (m *manifest) header() error {
	cells, err := m.rows.Read()
	if err == io.EOF {
		return errs.New(errs.Invalid, "dataset: manifest %q: got an empty file, want a header line with path,label", m.name)
	}
	if err != nil {
		return m.csvError(err)
	}
	columns := map[string]int{}
	for i, c := range cells {
		c = strings.ToLower(strings.TrimSpace(c))
		if _, twice := columns[c]; twice && c != "" {
			return errs.New(errs.Invalid, "dataset: manifest %q: got the column %q twice in the header", m.name, c)
		}
		columns[c] = i
	}
	for _, want := range []struct {
		name     string
		at       *int
		required bool
	}{{"path", &m.path, true}, {"label", &m.label, true}, {"class_name", &m.class, false},
		{"mask", &m.mask, false}, {"split", &m.split, false}, {"group", &m.group, false}} {
		at, ok := columns[want.name]
		if !ok && want.required {
			return errs.New(errs.Invalid, "dataset: manifest %q: got the header %q without a column %q, want path,label[,class_name][,mask][,split][,group]",
				m.name, strings.Join(cells, ","), want.name)
		}
		if !ok {
			at = -1
		}
		*want.at = at
	}
	return nil
}

// row takes one line of the manifest.
func (m *manifest) row(cells []string) error {
	line, _ := m.rows.FieldPos(0)
	cell := func(at int) string {
		if at < 0 {
			return ""
		}
		return strings.Clone(strings.TrimSpace(cells[at])) // the reader reuses the record's memory
	}
	bad := func(format string, args ...any) error {
		return errs.New(errs.Invalid, "dataset: manifest %q line %d: %s", m.name, line, fmt.Sprintf(format, args...))
	}
	path := m.resolve(cell(m.path))
	if path == "" {
		return bad("got an empty path")
	}
	if first, twice := m.seen[path]; twice {
		return bad("got %q again, it is in line %d already", filepath.Base(path), first)
	}
	m.seen[path] = line
	label, err := strconv.ParseInt(cell(m.label), 10, 64)
	if err != nil || label < 0 || label > maxLabel {
		return bad("got the label %q, want an integer from 0 to %d", cell(m.label), maxLabel)
	}
	s := Sample{Name: filepath.Base(path), Path: path, Label: label, Mask: m.resolve(cell(m.mask)),
		Group: m.out.groupNumber(cell(m.group)), bytes: fileSize(path)}
	if m.split >= 0 {
		split, ok := ParseSplit(cell(m.split))
		if !ok {
			return bad("got the split %q, want train, val or test", cell(m.split))
		}
		s.Split = split
	}
	if had, ok := m.out.nameClass(s.Label, cell(m.class)); !ok {
		return bad("got the class_name %q for label %d, which earlier lines call %q", cell(m.class), label, had)
	}
	m.out.d.Samples = append(m.out.d.Samples, s)
	return nil
}

func (m *manifest) resolve(path string) string {
	if path == "" {
		return ""
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(m.dir, path)
}

func (m *manifest) csvError(err error) error {
	if pe := (*csv.ParseError)(nil); errors.As(err, &pe) {
		return errs.New(errs.Invalid, "dataset: manifest %q line %d: got broken CSV (%v)", m.name, pe.Line, pe.Err)
	}
	return sourceError(m.name, err)
}

// ParseSplit gives the split called train, val or test.
func ParseSplit(s string) (Split, bool) {
	for i, name := range splitNames {
		if s == name {
			return Split(i), true
		}
	}
	return 0, false
}

// fileSize is -1 where there is no file; Check names those.
func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return st.Size()
}
