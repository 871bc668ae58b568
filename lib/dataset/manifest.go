package dataset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"libdsl/lib/errs"
)

// Open reads a manifest when path is a file. A folder is a published data set, when it has the files of one (see
// ReadPublished), and else a folder per class.
func Open(path string) (*Dataset, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, sourceError(filepath.Base(path), err)
	}
	if !st.IsDir() {
		return ReadManifest(path)
	}
	if d, is, err := ReadPublished(path); is {
		return d, err
	}
	return ReadFolder(path)
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

// manifestColumns is the header of a manifest.
const manifestColumns = "path,label[,class_name][,mask][,split][,group]"

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
	t, err := openTable("manifest", path, manifestColumns, "path", "label")
	if err != nil {
		return nil, err
	}
	defer t.close()
	m := manifest{table: t, dir: filepath.Dir(path), out: newBuilder(), seen: map[string]int{}}
	if err := t.each(m.row); err != nil {
		return nil, err
	}
	return m.out.finish(t.name)
}

type manifest struct {
	*table
	dir  string
	out  *builder
	seen map[string]int // path to line
}

// row takes one line of the manifest.
func (m *manifest) row() error {
	path := m.resolve(m.cell("path"))
	if path == "" {
		return m.bad("got an empty path")
	}
	if first, twice := m.seen[path]; twice {
		return m.bad("got %q again, it is in line %d already", filepath.Base(path), first)
	}
	m.seen[path] = m.line
	label, err := strconv.ParseInt(m.cell("label"), 10, 64)
	if err != nil || label < 0 || label > maxLabel {
		return m.bad("got the label %q, want an integer from 0 to %d", m.cell("label"), maxLabel)
	}
	s := Sample{Name: filepath.Base(path), Path: path, Label: label, Mask: m.resolve(m.cell("mask")),
		Group: m.out.groupNumber(m.cell("group")), bytes: fileSize(path)}
	if m.has("split") {
		split, ok := ParseSplit(m.cell("split"))
		if !ok {
			return m.bad("got the split %q, want train, val or test", m.cell("split"))
		}
		s.Split = split
	}
	if had, ok := m.out.nameClass(s.Label, m.cell("class_name")); !ok {
		return m.bad("got the class_name %q for label %d, which earlier lines call %q", m.cell("class_name"), label, had)
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

// Manifest is the text of a manifest that ReadManifest reads as this data set, with the columns path, label,
// class_name, mask, split and group. Paths are as they were given, so relative ones do not fit every folder that the
// text may be written to; those of pictures in memory are empty. Names of classes without a picture are not in it.
func (d *Dataset) Manifest() []byte {
	var text bytes.Buffer
	rows := csv.NewWriter(&text)
	rows.Write([]string{"path", "label", "class_name", "mask", "split", "group"})
	for _, s := range d.Samples {
		group := ""
		if s.Group != NoGroup {
			group = d.GroupNames[s.Group]
		}
		rows.Write([]string{s.Path, strconv.FormatInt(s.Label, 10), d.ClassNames[s.Label], s.Mask, s.Split.String(), group})
	}
	rows.Flush()
	return text.Bytes() // a buffer in memory takes all that is written
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
