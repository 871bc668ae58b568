package modelfile

import (
	"bytes"
	"crypto/sha256"
	"io"
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
	data, err := pack(version1, kindModel, body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[headerSize:], uint32(len(body)))
	f.Add(rleFrame(3, 3<<17), uint32(3<<17))
	other, err := pack(version1, kindModel, make([]byte, len(body)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(other[headerSize:], uint32(len(body)))
	f.Fuzz(func(t *testing.T, frame []byte, bodyBytes uint32) {
		if bodyBytes > ratioFree {
			return
		}
		data := withHeader(frame, uint64(bodyBytes), sha256.Sum256(body))
		h, err := decodeHeader(data[:headerSize], uint64(len(data)), Limits{})
		if err != nil {
			return
		}
		same := false
		err = unpack(h, frame, func(got []byte) error {
			same = bytes.Equal(got, body)
			return nil
		})
		if err == nil && !same {
			t.Fatal("accepted another body than the digest's")
		}
	})
}

// FuzzSafetensors gives any bytes to the reader of .safetensors files. What its header accepts must tile the file, and be read to its end.
func FuzzSafetensors(f *testing.F) {
	f.Add(foreign(twoTensors, make([]byte, 16)))
	f.Add(foreign(`{"layer1.0.conv1.weight":{"dtype":"F16","shape":[2,1,1,2],"data_offsets":[0,8]}}  `, []byte("\x00\x3c\x01\x00\xff\x7b\x00\x80")))
	f.Add(foreign(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[0],"data_offsets":[8,8]}}`, make([]byte, 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		tensors, err := readForeignHeader(r, uint64(len(data)))
		if err != nil {
			return
		}
		for _, x := range tensors {
			before := r.Len()
			v, err := x.read(r)
			if err != nil {
				r.Seek(int64(x.end-x.begin)-int64(before-r.Len()), io.SeekCurrent)
				continue
			}
			n := uint64(1)
			for _, d := range x.shape {
				n *= d
			}
			if uint64(len(v)) != n || firstNonFinite(v) >= 0 {
				t.Fatalf("%+v: read %d numbers", x, len(v))
			}
		}
		if r.Len() != 0 {
			t.Fatalf("%d bytes belong to no tensor", r.Len())
		}
		if _, err := importBackbone(bytes.NewReader(data), uint64(len(data))); err == nil {
			t.Fatal("found a network of some megabytes in a few bytes")
		}
	})
}
