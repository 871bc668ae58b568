package modelfile

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// FuzzBody gives any bytes to the verifier and to all that trusts it. What is accepted must survive being written and
// read. Seeds: here and in testdata/fuzz.
func FuzzBody(f *testing.F) {
	for _, seed := range []*File{smallModel(), smallCheckpoint(), withOddType()} {
		f.Add(buildBody(seed, 1<<12))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		file, err := parseBody(body)
		if err != nil {
			return
		}
		again := buildBody(file, 1<<12)
		if err := file.Check(); err != nil {
			t.Fatalf("accepted, but: %v", err)
		}
		second, err := parseBody(again)
		if err != nil {
			t.Fatalf("accepted and built anew, but: %v", err)
		}
		if !bytes.Equal(again, buildBody(second, 1<<12)) {
			t.Fatal("building, reading and building again gives other bytes")
		}
	})
}

// FuzzFrame gives any bytes to the checks of the zstd frame and to the decompressor, behind a header that fits.
func FuzzFrame(f *testing.F) {
	body := buildBody(smallModel(), 1<<12)
	data, err := pack(kindModel, body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[headerSize:], uint32(len(body)))
	f.Add(rleFrame(3, 3<<17), uint32(3<<17))
	f.Fuzz(func(t *testing.T, frame []byte, bodyBytes uint32) {
		if bodyBytes > ratioFree {
			return
		}
		data := withHeader(frame, uint64(bodyBytes), sha256.Sum256(body))
		h, err := decodeHeader(data[:headerSize], uint64(len(data)), Limits{})
		if err != nil {
			return
		}
		if got, err := unpack(h, frame); err == nil && !bytes.Equal(got, body) {
			t.Fatal("accepted another body than the digest's")
		}
	})
}
