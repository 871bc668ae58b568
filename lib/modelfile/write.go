package modelfile

import (
	"crypto/rand"
	"encoding/hex"
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
// A process killed in the middle leaves its temporary file (.dsl-<pid>-<random>.tmp) behind; it may be deleted.
//
// Errors: errs.Invalid when f breaks a rule of Check; errs.NotFound when the folder does not exist; errs.IO. After an
// error path is as before, except when the message says that only the last flush of the folder failed.
func Write(path string, f *File) error {
	data, err := Encode(f)
	if err != nil {
		return err
	}
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return ioError(path, "cannot get random bytes", err)
	}
	folder := filepath.Dir(path)
	temp := filepath.Join(folder, fmt.Sprintf(".dsl-%d-%s.tmp", os.Getpid(), hex.EncodeToString(random[:])))
	if err := writeTemp(temp, data); err != nil {
		os.Remove(temp)
		return ioError(path, "cannot write it", err)
	}
	if err := step("rename", func() error { return os.Rename(temp, path) }); err != nil {
		os.Remove(temp)
		return ioError(path, "cannot put it in place", err)
	}
	if err := step("sync folder", func() error { return syncFolder(folder) }); err != nil {
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

// writeTemp leaves a whole, flushed and verified file at temp, or an error.
func writeTemp(temp string, data []byte) error {
	var f *os.File
	err := step("create", func() (err error) {
		f, err = os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		return err
	})
	if err != nil {
		return err
	}
	err = step("write", func() error { _, err := f.Write(data); return err })
	if err == nil {
		err = step("sync", f.Sync)
	}
	if closed := step("close", f.Close); err == nil {
		err = closed
	}
	if err == nil {
		err = step("verify", func() error { return verifyFile(temp) })
	}
	return err
}

// verifyFile reads path back and checks it down to the digest of the body, which Encode has verified.
func verifyFile(path string) error {
	h, frame, err := readFrame(path, Limits{})
	if err == nil {
		_, err = unpack(h, frame)
	}
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
