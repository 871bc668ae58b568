package modelfile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"libdsl/lib/errs"
)

// Limits bounds what reading may use. The zero value is the default.
type Limits struct {
	// MaxBodyBytes is the largest body (all that is compressed) to accept; 0 is 2 GiB, the most a file can hold.
	// Reading takes the file's size, once the body and once its tensors of memory, of which the tensors stay.
	MaxBodyBytes int64
}

func (l Limits) maxBodyBytes() uint64 {
	if l.MaxBodyBytes <= 0 {
		return maxBody
	}
	return uint64(l.MaxBodyBytes)
}

// Read reads and checks a model or a checkpoint. Which tensors it must hold is the caller's to state: File.Expect.
//
// Errors: errs.NotFound; errs.IO; errs.Corrupt for whatever Write did not make; errs.Unsupported for a newer format
// version and for a body larger than limits; errs.Invalid for a gallery; errs.OutOfMemory. They name the file by its base name.
func Read(path string, limits Limits) (*File, error) {
	var f *File
	err := withFrame(path, limits, func(h *header, frame []byte) (err error) {
		f, err = decode(filepath.Base(path), h, frame)
		return err
	})
	return f, err
}

// ReadBytes is Read for a file in memory.
func ReadBytes(data []byte, limits Limits) (*File, error) {
	h, err := decodeHeader(data[:min(len(data), headerSize)], uint64(len(data)), limits)
	if err != nil {
		return nil, refused("", err)
	}
	return decode("", h, data[headerSize:])
}

// open opens a file that holds data, of the size that it returns.
func open(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // so that a named pipe does not block
	if err != nil {
		return nil, 0, ioError(path, "cannot open it", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, ioError(path, "cannot open it", err)
	}
	if !info.Mode().IsRegular() {
		f.Close()
		return nil, 0, errs.New(errs.IO, "%s: got a folder or a device, want a file", subject(filepath.Base(path)))
	}
	return f, info.Size(), nil
}

// withFrame reads the header, checks it, and only then takes memory for the frame, which use keeps nothing of.
func withFrame(path string, limits Limits, use func(h *header, frame []byte) error) error {
	f, size, err := open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	first := make([]byte, min(headerSize, size))
	if _, err := io.ReadFull(f, first); err != nil {
		return ioError(path, "cannot read it", err)
	}
	h, err := decodeHeader(first, uint64(size), limits)
	if err != nil {
		return refused(filepath.Base(path), err)
	}
	return borrow(filepath.Base(path), h.frameBytes, func(frame []byte) error {
		if _, err := io.ReadFull(f, frame); err != nil {
			return ioError(path, "cannot read it", err)
		}
		return use(h, frame)
	})
}

func decode(name string, h *header, frame []byte) (*File, error) {
	f, err := decodeFrame(h, frame)
	if err != nil {
		return nil, refused(name, err)
	}
	f.source = name
	return f, nil
}

func decodeFrame(h *header, frame []byte) (f *File, err error) {
	defer errs.Recover(&err) // a last belt; the fuzz targets go round it
	if h.kind == kindGallery {
		return nil, errs.New(errs.Invalid, "got the gallery of an index, want a model")
	}
	err = unpack(h, frame, func(body []byte) (err error) {
		f, err = parseBody(body)
		return err
	})
	if err != nil {
		return nil, err
	}
	if got := f.version(); got != h.version {
		return nil, fmt.Errorf("got %d ranges in the body, which is format version %d, want version %d as the header says", len(f.Ranges), got, h.version)
	}
	if got, want := f.Checkpoint != nil, h.kind == kindCheckpoint; got != want {
		return nil, fmt.Errorf("got a checkpoint in the body: %v, want %v as the header says", got, want)
	}
	return f, nil
}

// parseBody makes a File of untrusted bytes.
func parseBody(body []byte) (*File, error) {
	if err := verifyBody(body, modelLayout); err != nil {
		return nil, err
	}
	f, err := decodeBody(body)
	if err != nil {
		return nil, err
	}
	return f, f.check()
}
