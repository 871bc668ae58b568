package modelfile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"libdsl/lib/errs"
)

// A .safetensors file: the header's size (uint64, little-endian), the header, then the tensors' bytes. The header is a JSON object
// {"NAME": {"dtype": "F32", "shape": [64, 3, 7, 7], "data_offsets": [BEGIN, END]}, ..., "__metadata__": {"KEY": "TEXT"}} that may end
// in spaces; offsets count from the header's end, and the tensors cover the rest of the file without a hole or an overlap.
// https://huggingface.co/docs/safetensors has the format.
const (
	foreignSizeBytes = 8
	maxForeignHeader = 4 << 20 // that of ResNet-152 takes 0.1 MB
	maxForeignRank   = 16
	maxForeignName   = 1 << 10
	foreignMetadata  = "__metadata__"
)

// foreignTensor is a tensor as the header of a .safetensors file describes it.
type foreignTensor struct {
	name, dtype string
	shape       []uint64
	begin, end  uint64 // bytes, from the header's end
}

// readForeignHeader reads the header of a file of size bytes and checks it; the tensors come in the order of their bytes.
func readForeignHeader(r io.Reader, size uint64) ([]foreignTensor, error) {
	var prefix [foreignSizeBytes]byte
	if size < foreignSizeBytes {
		return nil, fmt.Errorf("cut off: got %d bytes, want %d that tell the header's size", size, foreignSizeBytes)
	}
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n, rest := binary.LittleEndian.Uint64(prefix[:]), size-foreignSizeBytes
	if n > maxForeignHeader {
		return nil, errs.New(errs.Unsupported, "got a header of %d bytes, want at most %d", n, maxForeignHeader)
	}
	if n > rest {
		return nil, fmt.Errorf("cut off: got %d bytes after the header's size, want a header of %d", rest, n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	tensors, err := parseForeignHeader(header)
	if err != nil {
		return nil, fmt.Errorf("header: %v", err) // not %w: the end of the header is not the end of the file
	}
	return tensors, checkForeignSpans(tensors, rest-n)
}

// checkForeignSpans sorts the tensors and sees that each has the bytes of its type and shape, and that they cover dataBytes exactly.
func checkForeignSpans(tensors []foreignTensor, dataBytes uint64) error {
	slices.SortFunc(tensors, func(a, b foreignTensor) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := uint64(0)
	for _, t := range tensors {
		want, err := t.bytes(dataBytes)
		if err != nil {
			return err
		}
		if t.end < t.begin || t.end > dataBytes || t.end-t.begin != want {
			return fmt.Errorf("tensor %q: got bytes %d to %d, want %d of the file's %d", t.name, t.begin, t.end, want, dataBytes)
		}
		if t.begin != at {
			return fmt.Errorf("tensor %q: begins at byte %d, want %d: tensors may not overlap or leave holes", t.name, t.begin, at)
		}
		at = t.end
	}
	if at != dataBytes {
		return fmt.Errorf("got %d bytes of tensors, want %d: cut off, or bytes that belong to none", at, dataBytes)
	}
	return nil
}

// bytes is what a tensor of this type and shape takes; more than limit is an error.
func (t *foreignTensor) bytes(limit uint64) (uint64, error) {
	d, ok := foreignTypes[t.dtype]
	if !ok {
		return 0, errs.New(errs.Unsupported, "tensor %q: got elements of type %.20q, which this version does not know", t.name, t.dtype)
	}
	if slices.Contains(t.shape, 0) {
		return 0, nil
	}
	n := d.size
	for _, dim := range t.shape {
		if n > limit/dim {
			return 0, fmt.Errorf("tensor %q: got shape %v of %s, want at most %d bytes", t.name, t.shape, t.dtype, limit)
		}
		n *= dim
	}
	return n, nil
}

// foreignHeader walks the tokens of the header's JSON; it goes only as deep as the format does.
type foreignHeader struct{ *json.Decoder }

func parseForeignHeader(text []byte) ([]foreignTensor, error) {
	if len(text) == 0 || text[0] != '{' || !utf8.Valid(text) {
		return nil, errors.New("got other than a JSON object in UTF-8")
	}
	h := foreignHeader{json.NewDecoder(bytes.NewReader(text))}
	h.UseNumber()
	var tensors []foreignTensor
	err := h.object(func(name string) error {
		if name == foreignMetadata {
			return h.object(func(string) error { _, err := h.text(); return err })
		}
		t, err := h.tensor(name)
		tensors = append(tensors, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	if rest := bytes.TrimRight(text[h.InputOffset():], " "); len(rest) != 0 {
		return nil, fmt.Errorf("got %d bytes after the JSON object, want spaces only", len(rest))
	}
	return tensors, nil
}

func (h foreignHeader) tensor(name string) (foreignTensor, error) {
	t := foreignTensor{name: name}
	if err := checkText("tensor", name, 1, maxForeignName); err != nil {
		return t, err
	}
	var offsets []uint64
	fields := 0
	err := h.object(func(key string) (err error) {
		fields++
		switch key {
		case "dtype":
			t.dtype, err = h.text()
		case "shape":
			t.shape, err = h.integers(maxForeignRank)
		case "data_offsets":
			offsets, err = h.integers(2)
		default:
			err = fmt.Errorf("got a key %.40q, want dtype, shape and data_offsets", key)
		}
		return err
	})
	if err == nil && (fields != 3 || len(offsets) != 2) {
		err = errors.New("want dtype, shape and two data_offsets")
	}
	if err != nil {
		return t, fmt.Errorf("tensor %q: %w", name, err)
	}
	t.begin, t.end = offsets[0], offsets[1]
	return t, nil
}

// object calls value for each key; no key may come twice.
func (h foreignHeader) object(value func(key string) error) error {
	if err := h.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for h.More() {
		key, err := h.text()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("got the key %.80q twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return h.delim('}')
}

// integers is an array of at most so many integers from 0 up.
func (h foreignHeader) integers(most int) ([]uint64, error) {
	if err := h.delim('['); err != nil {
		return nil, err
	}
	out := []uint64{}
	for h.More() {
		token, err := h.Token()
		if err != nil {
			return nil, err
		}
		number, _ := token.(json.Number)
		n, err := strconv.ParseUint(number.String(), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("got %.40q, want an integer from 0 to 2^64-1", fmt.Sprint(token))
		}
		if out = append(out, n); len(out) > most {
			return nil, fmt.Errorf("got more than %d integers", most)
		}
	}
	return out, h.delim(']')
}

func (h foreignHeader) text() (string, error) {
	token, err := h.Token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("got %.40q, want a text", fmt.Sprint(token))
	}
	return s, nil
}

func (h foreignHeader) delim(want json.Delim) error {
	token, err := h.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("got %.40q, want %q", fmt.Sprint(token), want.String())
	}
	return nil
}
