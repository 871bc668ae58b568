package modelfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"libdsl/lib/errs"
)

// subject is how messages name what was read: a file by its base name.
func subject(name string) string {
	if name == "" {
		return "modelfile: data"
	}
	return `modelfile: file "` + name + `"`
}

// refused names the file that a check refused. The checks return plain errors, which mean Corrupt here (in Encode the
// same ones mean Invalid), or ones that say that they are Unsupported, Invalid or OutOfMemory.
func refused(name string, err error) error {
	kind := errs.Corrupt
	if k := errs.KindOf(err); k == errs.Unsupported || k == errs.Invalid || k == errs.OutOfMemory {
		kind = k
	}
	return errs.Wrap(kind, err, "%s", subject(name))
}

// ioError wraps an operating system's error without the path that it carries, which could hold a patient's name.
func ioError(path, doing string, err error) error {
	kind := errs.IO
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = errs.NotFound
	case errs.KindOf(err) == errs.OutOfMemory:
		kind = errs.OutOfMemory
	}
	return errs.Wrap(kind, withoutPath(err), "%s: %s", subject(filepath.Base(path)), doing)
}

func withoutPath(err error) error {
	var errno syscall.Errno
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &pathErr):
		return pathErr.Err
	case errors.As(err, &linkErr):
		return linkErr.Err
	}
	return err
}
