package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"libdsl/lib/errs"
)

// table reads a CSV file with a header line, row by row. Columns are found by name, whatever their order and case.
// Cells are separated by commas, or by tabs when the header has those alone; a UTF-8 byte order mark is fine.
type table struct {
	kind, name string // "manifest", base name of the file; for messages
	file       *os.File
	rows       *csv.Reader
	columns    map[string]int
	cells      []string // of the current row; the reader reuses their memory
	line       int
}

// openTable reads the header, which must have the required columns; want is what the header should be. Close it.
// Errors: NotFound, IO; Invalid for a header without sense.
func openTable(kind, path, want string, required ...string) (*table, error) {
	t := &table{kind: kind, name: filepath.Base(path), columns: map[string]int{}}
	f, err := os.Open(path)
	if err != nil {
		return nil, sourceError(t.name, err)
	}
	t.file = f
	if err := t.header(want, required); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *table) close() { t.file.Close() }

func (t *table) header(want string, required []string) error {
	in := bufio.NewReader(t.file)
	if bom, _ := in.Peek(3); string(bom) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
	t.rows = csv.NewReader(in)
	t.rows.ReuseRecord = true
	head, _ := in.Peek(1024)
	first, _, _ := strings.Cut(string(head), "\n")
	if strings.Contains(first, "\t") && !strings.Contains(first, ",") {
		t.rows.Comma = '\t'
	}
	more, err := t.next()
	if err != nil {
		return err
	}
	if !more {
		return errs.New(errs.Invalid, "dataset: %s %q: got an empty file, want a header line with %s", t.kind, t.name, strings.Join(required, ","))
	}
	for i, c := range t.cells {
		c = strings.ToLower(strings.TrimSpace(c))
		if _, twice := t.columns[c]; twice && c != "" {
			return errs.New(errs.Invalid, "dataset: %s %q: got the column %q twice in the header", t.kind, t.name, c)
		}
		t.columns[strings.Clone(c)] = i
	}
	for _, c := range required {
		if !t.has(c) {
			return errs.New(errs.Invalid, "dataset: %s %q: got the header %q without a column %q, want %s",
				t.kind, t.name, strings.Join(t.cells, ","), c, want)
		}
	}
	return nil
}

// next goes to the next row; false is the end.
func (t *table) next() (bool, error) {
	cells, err := t.rows.Read()
	if err == io.EOF {
		return false, nil
	}
	if pe := (*csv.ParseError)(nil); errors.As(err, &pe) {
		return false, errs.New(errs.Invalid, "dataset: %s %q line %d: got broken CSV (%v)", t.kind, t.name, pe.Line, pe.Err)
	}
	if err != nil {
		return false, sourceError(t.name, err)
	}
	t.cells = cells
	t.line, _ = t.rows.FieldPos(0)
	for _, c := range cells {
		if !utf8.ValidString(c) {
			return false, t.bad("got text that is not UTF-8")
		}
	}
	return true, nil
}

func (t *table) has(column string) bool {
	_, ok := t.columns[strings.ToLower(column)]
	return ok
}

// cell of the current row, without space around it; "" where the table lacks the column.
func (t *table) cell(column string) string {
	at, ok := t.columns[strings.ToLower(column)]
	if !ok {
		return ""
	}
	return strings.Clone(strings.TrimSpace(t.cells[at]))
}

// bad is what is wrong with the current row.
func (t *table) bad(format string, args ...any) error {
	return errs.New(errs.Invalid, "dataset: %s %q line %d: %s", t.kind, t.name, t.line, fmt.Sprintf(format, args...))
}

// each calls row for every row.
func (t *table) each(row func() error) error {
	for {
		more, err := t.next()
		if err != nil || !more {
			return err
		}
		if err := row(); err != nil {
			return err
		}
	}
}
