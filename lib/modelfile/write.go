package modelfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// fault lets tests fail a step of Write; it is nil otherwise.
var fault func(step string) error

// Write writes f to path so that path holds either what it held before or all of f, whatever happens: a temporary file
// in the same folder is written, flushed to disk, read back and checked, and renamed. Any number of writers may
// write one path at a time; the last rename wins. A symbolic link at path is replaced, not followed.
//
// A process killed in the middle leaves its temporary file (.dsl-<digest of the name>-<random>.tmp) behind; the next write of path removes it.
//
// Errors: errs.Invalid when f breaks a rule of Check; errs.NotFound when the folder does not exist; errs.IO. After an
// error path is as before, except when the message says that only the last flush of the folder failed.
func Write(path string, f *File) error {
	data, err := Encode(f)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

// writeFile is Write for a file's bytes.
func writeFile(path string, data []byte) error {
	removeStale(path)
	var temp *os.File
	err := step("create", func() (err error) { temp, err = createTemp(path); return err })
	if err != nil {
		return ioError(path, "cannot write it", err)
	}
	defer temp.Close() // flushed and read back by then: closing tells nothing new
	if err := fillTemp(temp, data); err != nil {
		os.Remove(temp.Name())
		return ioError(path, "cannot write it", err)
	}
	if err := step("rename", func() error { return os.Rename(temp.Name(), path) }); err != nil {
		os.Remove(temp.Name())
		return ioError(path, "cannot put it in place", err)
	}
	if err := step("sync folder", func() error { return syncFolder(filepath.Dir(path)) }); err != nil {
		return ioError(path, "written, but a power cut could undo it", err)
	}
	return nil
}

func step(name string, do func() error) error {
	if fault != nil {
		if err := fault(name); err != nil {
			return err
		}
	}
	return do()
}

// fillTemp leaves data in f, flushed and verified, or returns an error.
func fillTemp(f *os.File, data []byte) error {
	err := step("write", func() error { _, err := f.Write(data); return err })
	if err == nil {
		err = step("sync", f.Sync)
	}
	if err == nil {
		err = step("verify", func() error { return verifyFile(f.Name()) })
	}
	return err
}

// verifyFile reads path back and checks it down to the digest of the body, which Encode has verified.
func verifyFile(path string) error {
	err := withFrame(path, Limits{}, func(h *header, frame []byte) error {
		return unpack(h, frame, func([]byte) error { return nil })
	})
	if err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	return nil
}

func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
