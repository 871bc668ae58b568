package modelfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/zstd"

	"libdsl/lib/errs"
	"libdsl/lib/internal/hugepage"
)

// maxWindow bounds what a decoder keeps of a frame's past; the encoder's level uses 4 MiB.
const (
	maxWindow    = 8 << 20
	encodeWindow = 4 << 20
)

// pack makes a whole file from a body: header and frame.
func pack(version, kind uint32, body []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true),
		zstd.WithWindowSize(encodeWindow), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "modelfile: zstd")
	}
	out := enc.EncodeAll(body, make([]byte, headerSize, headerSize+len(body)+len(body)/64+1024))
	frame := out[headerSize:]
	h := header{version: version, kind: kind, frameBytes: uint64(len(frame)), bodyBytes: uint64(len(body)), digest: sha256.Sum256(body),
		frameCRC: crc32.Checksum(frame, castagnoli)}
	if err := checkRatio(h.bodyBytes, h.frameBytes); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "modelfile: tensors are almost all constant")
	}
	copy(out, h.encode())
	return out, nil
}

// unpack decompresses the frame and has use read the body, which keeps nothing of it. What use found counts only if unpack returns no error: the digest is not known before.
func unpack(h *header, frame []byte, use func(body []byte) error) error {
	if got := crc32.Checksum(frame, castagnoli); got != h.frameCRC {
		return fmt.Errorf("zstd frame: got CRC %08x, want %08x", got, h.frameCRC)
	}
	if err := checkFrame(frame, h.bodyBytes); err != nil {
		return err
	}
	return borrow("", h.bodyBytes, func(body []byte) error {
		if err := decompress(body, frame); err != nil {
			return err
		}
		digest, err := digestWhile(body, use)
		if !bytes.Equal(digest[:], h.digest[:]) {
			return fmt.Errorf("body: got SHA-256 %x…, want %x…", digest[:8], h.digest[:8])
		}
		return err
	})
}

// digestWhile computes a body's digest while use reads it, which may take another processor: a third of what reading a model takes.
func digestWhile(body []byte, use func(body []byte) error) (digest [sha256.Size]byte, err error) {
	var sum sync.WaitGroup
	sum.Go(func() { digest = sha256.Sum256(body) })
	defer sum.Wait() // whatever use does, the body is there until then
	err = use(body)
	return
}

// borrow gives use n bytes of zeroed memory until it returns. The error names the file, if it has a name.
func borrow(name string, n uint64, use func([]byte) error) error {
	b, release, err := hugepage.Map(int(n))
	if err != nil {
		return errs.Wrap(errs.OutOfMemory, err, "%s: no memory for %d bytes", subject(name), n)
	}
	defer release()
	return use(b)
}

// decompress fills body, which has exactly the declared size.
func decompress(body, frame []byte) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return errs.Wrap(errs.Internal, err, "modelfile: zstd")
	}
	defer dec.Close()
	got, err := dec.DecodeAll(frame, body[:0:len(body)])
	if err != nil {
		return fmt.Errorf("zstd frame: %w", err)
	}
	if len(got) != len(body) {
		return fmt.Errorf("zstd frame: got a body of %d bytes, want %d", len(got), len(body))
	}
	return nil
}

// checkFrame sees that data is one zstd frame and nothing else, with a content checksum, a bounded window, no
// dictionary and the right size, before anything is decompressed. It walks over the blocks' headers (RFC 8878, §3.1.1).
func checkFrame(data []byte, bodyBytes uint64) error {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return fmt.Errorf("zstd frame: %w", err)
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	switch {
	case h.Skippable:
		return errors.New("zstd frame: got a skippable frame")
	case !h.HasCheckSum:
		return errors.New("zstd frame: got no content checksum")
	case h.DictionaryID != 0:
		return errors.New("zstd frame: got one that needs a dictionary")
	case window > maxWindow:
		return fmt.Errorf("zstd frame: got a window of %d bytes, want at most %d", window, maxWindow)
	case !h.HasFCS:
		return errors.New("zstd frame: got no content size")
	case h.FrameContentSize != bodyBytes:
		return fmt.Errorf("zstd frame: got a content size of %d, want %d", h.FrameContentSize, bodyBytes)
	}
	end, err := frameEnd(data, h.HeaderSize)
	if err == nil && end != len(data) {
		err = fmt.Errorf("got %d bytes after it", len(data)-end)
	}
	if err != nil {
		return fmt.Errorf("zstd frame: %w", err)
	}
	return nil
}

// frameEnd is the offset of the first byte after the frame whose blocks begin at pos.
func frameEnd(data []byte, pos int) (int, error) {
	const rleBlock, reservedBlock = 1, 3
	for last := false; !last; {
		if len(data)-pos < 3 {
			return 0, errors.New("cut off")
		}
		block := int(data[pos]) | int(data[pos+1])<<8 | int(data[pos+2])<<16
		last = block&1 == 1
		size := block >> 3
		switch block >> 1 & 3 {
		case rleBlock:
			size = 1
		case reservedBlock:
			return 0, errors.New("got a block of reserved type")
		}
		pos += 3
		if len(data)-pos < size {
			return 0, errors.New("cut off")
		}
		pos += size
	}
	const checksum = 4
	if len(data)-pos < checksum {
		return 0, errors.New("cut off")
	}
	return pos + checksum, nil
}
