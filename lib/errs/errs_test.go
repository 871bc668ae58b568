package errs

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestKindOf(t *testing.T) {
	wrapped := fmt.Errorf("outer: %w", New(Corrupt, "modelfile: bad"))
	for _, c := range []struct {
		name string
		err  error
		want Kind
	}{
		{"nil is OK", nil, OK},
		{"a plain error is internal", io.EOF, Internal},
		{"an Error keeps its kind", New(IO, "x"), IO},
		{"a wrapped Error keeps its kind", wrapped, Corrupt},
		{"the outermost kind wins", Wrap(Cancelled, New(IO, "x"), "y"), Cancelled},
	} {
		if got := KindOf(c.err); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWrapKeepsTheCause(t *testing.T) {
	err := Wrap(IO, io.ErrUnexpectedEOF, "read %q", "a.dsl")
	if !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != `read "a.dsl": unexpected EOF` {
		t.Fatalf("got %v", err)
	}
}

func TestRecoverTurnsAPanicIntoAnError(t *testing.T) {
	f := func() (err error) {
		defer Recover(&err)
		panic("boom")
	}
	err := f()
	if KindOf(err) != Internal || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("got %v", err)
	}
}
