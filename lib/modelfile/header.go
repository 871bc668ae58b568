package modelfile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"libdsl/lib/errs"
)

// The outer header, little-endian. Every later version keeps the magic, the version and the CRC where they are, so that
// an older library can tell a newer file from a broken one.
//
//	 0  magic, 8 bytes
//	 8  format version, uint32: 1, or 2 for a model or checkpoint with ranges
//	12  kind, uint32: 1 model, 2 checkpoint, 3 gallery
//	16  flags, uint32: 0
//	20  0, uint32
//	24  size of the zstd frame, uint64
//	32  size of the body (the FlatBuffer), uint64
//	40  SHA-256 of the body, 32 bytes
//	72  CRC-32C of the frame, uint32
//	76  0, 16 bytes
//	92  CRC-32C of bytes 0..91, uint32
const (
	headerSize = 96

	version1      = 1
	rangesVersion = 2 // has Model.ranges
	newestVersion = rangesVersion

	kindModel      = 1
	kindCheckpoint = 2
	kindGallery    = 3

	// magic, as PNG's, shows at once a transfer that changed line ends or cut the eighth bit.
	magic = "\x89DSL\r\n\x1a\n"

	// maxBody is what FlatBuffers' signed 32-bit offsets can address.
	maxBody = 1<<31 - 1

	// A body may be at most maxRatio times as large as its frame, once it is larger than ratioFree. Shuffled float32
	// weights reach 1.2; RLE blocks, the bombs, 30000.
	maxRatio  = 1000
	ratioFree = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the outer header's fields.
type header struct {
	version    uint32
	kind       uint32
	frameBytes uint64
	bodyBytes  uint64
	digest     [sha256.Size]byte
	frameCRC   uint32 // shows a flipped bit before the decompressor meets it, and those that it would not notice
}

func (h *header) encode() []byte {
	le := binary.LittleEndian
	b := append(make([]byte, 0, headerSize), magic...)
	b = le.AppendUint32(b, h.version)
	b = le.AppendUint32(b, h.kind)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint64(b, h.frameBytes)
	b = le.AppendUint64(b, h.bodyBytes)
	b = append(b, h.digest[:]...)
	b = le.AppendUint32(b, h.frameCRC)
	b = append(b, make([]byte, 16)...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader checks all that the header alone can tell; fileBytes is the size of the whole file.
func decodeHeader(b []byte, fileBytes uint64, limits Limits) (*header, error) {
	le := binary.LittleEndian
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("not a .dsl file: got the first bytes % x, want % x", b[:min(len(b), len(magic))], magic)
	}
	if len(b) < headerSize {
		return nil, fmt.Errorf("cut off: got %d bytes, want a header of %d", len(b), headerSize)
	}
	if got, want := crc32.Checksum(b[:92], castagnoli), le.Uint32(b[92:]); got != want {
		return nil, fmt.Errorf("header: got CRC %08x, want %08x", got, want)
	}
	v := le.Uint32(b[8:])
	if v < version1 || v > newestVersion {
		return nil, errs.New(errs.Unsupported, "got format version %d, want %d to %d; a newer libdsl may read it", v, version1, newestVersion)
	}
	h := &header{version: v, kind: le.Uint32(b[12:]), frameBytes: le.Uint64(b[24:]), bodyBytes: le.Uint64(b[32:]),
		frameCRC: le.Uint32(b[72:])}
	copy(h.digest[:], b[40:72])
	for _, c := range append(b[16:24:24], b[76:92]...) {
		if c != 0 {
			return nil, fmt.Errorf("header: got flags or reserved bytes other than 0")
		}
	}
	if h.kind < kindModel || h.kind > kindGallery {
		return nil, fmt.Errorf("header: got kind %d, want %d (model), %d (checkpoint) or %d (gallery)", h.kind, kindModel, kindCheckpoint, kindGallery)
	}
	if h.kind == kindGallery && v != version1 {
		return nil, fmt.Errorf("header: got a gallery of format version %d, want %d", v, version1)
	}
	return h, h.checkSizes(fileBytes, limits)
}

func (h *header) checkSizes(fileBytes uint64, limits Limits) error {
	if got := fileBytes - headerSize; got != h.frameBytes {
		return fmt.Errorf("cut off or padded: got %d bytes after the header, want %d", got, h.frameBytes)
	}
	if h.bodyBytes > maxBody {
		return fmt.Errorf("header: got a body of %d bytes, want at most %d", h.bodyBytes, maxBody)
	}
	if limit := limits.maxBodyBytes(); h.bodyBytes > limit {
		return errs.New(errs.Unsupported, "got a body of %d bytes, the limit is %d", h.bodyBytes, limit)
	}
	return checkRatio(h.bodyBytes, h.frameBytes)
}

func checkRatio(bodyBytes, frameBytes uint64) error {
	if bodyBytes > ratioFree && bodyBytes/maxRatio > frameBytes {
		return fmt.Errorf("got a body of %d bytes in a frame of %d, want a ratio of at most %d", bodyBytes, frameBytes, maxRatio)
	}
	return nil
}
