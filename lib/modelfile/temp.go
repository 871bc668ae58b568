package modelfile

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const tempSuffix = ".tmp"

// tempPrefix begins the names of a target's temporary files. It is short whatever the target's name.
func tempPrefix(path string) string {
	digest := sha256.Sum256([]byte(filepath.Base(path)))
	return ".dsl-" + hex.EncodeToString(digest[:8]) + "-"
}

// createTemp makes an empty temporary file for path and locks it. The writer keeps it open until it has its final name or is removed: the lock says
// that somebody writes. The system gives the lock back when the writer ends, however it does.
func createTemp(path string) (*os.File, error) {
	for {
		name := filepath.Join(filepath.Dir(path), tempPrefix(path)+rand.Text()+tempSuffix)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return nil, err
		}
		// Where the file system has no locks removeStale gets none either, and removes nothing.
		if err := lock(f, 0); err != nil {
			return f, nil
		}
		if _, err := os.Stat(name); err == nil {
			return f, nil
		}
		f.Close() // another writer took it for a stale one before it was locked
	}
}

// removeStale removes the temporary files that writers of path left when they were killed: those that nobody has locked. Failures are no concern
// of the write that comes after it.
func removeStale(path string) {
	folder, prefix := filepath.Dir(path), tempPrefix(path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), tempSuffix) {
			continue
		}
		name := filepath.Join(folder, e.Name())
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if lock(f, syscall.LOCK_NB) == nil {
			os.Remove(name)
		}
		f.Close()
	}
}

// lock takes the exclusive lock of an open file.
func lock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|how); err != syscall.EINTR {
			return err
		}
	}
}
