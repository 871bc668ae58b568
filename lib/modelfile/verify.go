package modelfile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxObjects bounds the tables, strings and vectors of a body, and with them the verifier's own memory (about 16 bytes
// for each of at most ten spans per table). A ResNet-50's checkpoint has about 5000.
const maxObjects = 1 << 17

// verifier checks a FlatBuffer of untrusted bytes, which Go's runtime does not: its accessors add offsets in wrapping
// 32-bit arithmetic. Everything here is uint64, and every sum is of numbers far below 2^63.
//
// It claims each byte range that it visits. A body is good when each claim lies inside it, no two overlap, and only
// zero bytes of alignment are left between them: so nothing is aliased, and nothing hides.
type verifier struct {
	body    []byte
	spans   []span
	vtables map[uint64]bool // shared between tables of equal layout, so claimed once
	objects int
}

// span is the claimed range [start, end).
type span struct{ start, end uint64 }

// verifyBody checks that body is a FlatBuffer of schema/model.fbs, with a root of that layout, that its generated accessors can read safely.
func verifyBody(body []byte, layout *layout) error {
	const rootBytes = 8 // offset of the root table, file identifier
	if len(body) < rootBytes || len(body) > maxBody {
		return fmt.Errorf("body: got %d bytes, want %d to %d", len(body), rootBytes, maxBody)
	}
	if got := string(body[4:8]); got != fileIdentifier {
		return fmt.Errorf("body: got the identifier %q, want %q", got, fileIdentifier)
	}
	v := &verifier{body: body, vtables: map[uint64]bool{}}
	v.claim(0, rootBytes)
	root, err := v.follow(0)
	if err == nil {
		err = v.table(root, layout)
	}
	if err == nil {
		err = v.checkSpans()
	}
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func (v *verifier) claim(start, end uint64) { v.spans = append(v.spans, span{start, end}) }

// room sees that size bytes at pos lie in the body and that pos is a multiple of align.
func (v *verifier) room(pos, size, align uint64) error {
	if pos%align != 0 {
		return fmt.Errorf("got offset %d, want a multiple of %d", pos, align)
	}
	if end := uint64(len(v.body)); pos > end || size > end-pos {
		return fmt.Errorf("got %d bytes at %d, want them to end by %d", size, pos, end)
	}
	return nil
}

func (v *verifier) u16(pos uint64) uint64 { return uint64(binary.LittleEndian.Uint16(v.body[pos:])) }
func (v *verifier) u32(pos uint64) uint64 { return uint64(binary.LittleEndian.Uint32(v.body[pos:])) }

// follow is the target of the offset at pos, which has room. Targets lie behind their offset, are aligned to 4 and have
// room for 4 bytes.
func (v *verifier) follow(pos uint64) (uint64, error) {
	if v.objects++; v.objects > maxObjects {
		return 0, fmt.Errorf("got more than %d tables, strings and vectors", maxObjects)
	}
	step := v.u32(pos)
	if step == 0 {
		return 0, fmt.Errorf("got an offset of 0 at %d", pos)
	}
	return pos + step, v.room(pos+step, 4, 4)
}

// table verifies the table at pos, where 4 bytes have room, and all below it.
func (v *verifier) table(pos uint64, l *layout) error {
	vtable, size, err := v.vtable(pos, l)
	if err != nil {
		return fmt.Errorf("table %s: %w", l.name, err)
	}
	v.claim(pos, pos+4)
	present := (v.u16(vtable) - 4) / 2
	for i := range l.fields {
		f := &l.fields[i]
		at := uint64(0)
		if uint64(i) < present {
			at = v.u16(vtable + 4 + 2*uint64(i))
		}
		if at == 0 && f.optional {
			continue
		}
		if err := v.field(pos, at, size, f); err != nil {
			return fmt.Errorf("%s.%s: %w", l.name, f.name, err)
		}
	}
	return nil
}

// vtable verifies the vtable of the table at pos; it returns where it lies and how large it says the table is.
func (v *verifier) vtable(pos uint64, l *layout) (vtable, tableBytes uint64, err error) {
	back := int64(int32(v.u32(pos)))
	at := int64(pos) - back
	if at < 0 {
		return 0, 0, fmt.Errorf("got a vtable at %d", at)
	}
	vtable = uint64(at)
	if err := v.room(vtable, 4, 2); err != nil {
		return 0, 0, fmt.Errorf("vtable: %w", err)
	}
	bytes, tableBytes := v.u16(vtable), v.u16(vtable+2)
	if most := 4 + 2*uint64(len(l.fields)); bytes < 4 || bytes%2 != 0 || bytes > most {
		return 0, 0, fmt.Errorf("got a vtable of %d bytes, want an even number from 4 to %d", bytes, most)
	}
	if err := v.room(vtable, bytes, 2); err != nil {
		return 0, 0, fmt.Errorf("vtable: %w", err)
	}
	if tableBytes < 4 {
		return 0, 0, fmt.Errorf("got %d bytes, want at least 4", tableBytes)
	}
	if !v.vtables[vtable] {
		v.vtables[vtable] = true
		v.claim(vtable, vtable+bytes)
	}
	return vtable, tableBytes, v.room(pos, tableBytes, 4)
}

// field verifies the field that lies at bytes behind the start of a table of tableBytes bytes at pos.
func (v *verifier) field(pos, at, tableBytes uint64, f *field) error {
	size := uint64(4)
	if f.kind == scalar {
		size = f.size
	}
	if at == 0 {
		return errors.New("missing")
	}
	if at < 4 || at+size > tableBytes || (pos+at)%size != 0 {
		return fmt.Errorf("got %d bytes at %d of a table of %d at %d", size, at, tableBytes, pos)
	}
	v.claim(pos+at, pos+at+size)
	if f.kind == scalar {
		return nil
	}
	target, err := v.follow(pos + at)
	if err != nil {
		return err
	}
	switch f.kind {
	case text:
		return v.text(target)
	case child:
		return v.table(target, f.table)
	case scalarVector:
		_, err := v.vector(target, f.size)
		return err
	}
	return v.offsets(target, f)
}

// offsets verifies a vector of offsets of strings or tables.
func (v *verifier) offsets(pos uint64, f *field) error {
	n, err := v.vector(pos, 4)
	if err != nil {
		return err
	}
	for i := range n {
		target, err := v.follow(pos + 4 + 4*i)
		if err == nil {
			if f.kind == textVector {
				err = v.text(target)
			} else {
				err = v.table(target, f.table)
			}
		}
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}

// vector verifies the vector at pos, where its count has room, and returns the count.
func (v *verifier) vector(pos, elem uint64) (uint64, error) {
	n := v.u32(pos)
	if err := v.room(pos+4, n*elem, elem); err != nil {
		return 0, fmt.Errorf("vector of %d: %w", n, err)
	}
	v.claim(pos, pos+4+n*elem)
	return n, nil
}

// text verifies a string: a vector of UTF-8 bytes without NUL, and one NUL behind it.
func (v *verifier) text(pos uint64) error {
	n := v.u32(pos)
	if err := v.room(pos+4, n+1, 1); err != nil {
		return fmt.Errorf("string of %d bytes: %w", n, err)
	}
	s := v.body[pos+4 : pos+4+n]
	if !utf8.Valid(s) || slices.Contains(s, 0) || v.body[pos+4+n] != 0 {
		return fmt.Errorf("string at %d: got other than UTF-8 without NUL, ended by NUL", pos)
	}
	v.claim(pos, pos+4+n+1)
	return nil
}

// checkSpans sees that no two claims overlap, and that they cover the body but for the zero bytes that alignment needs.
func (v *verifier) checkSpans() error {
	slices.SortFunc(v.spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	for i := range v.spans[1:] {
		if next := v.spans[i+1].start; next < v.spans[i].end {
			return fmt.Errorf("got two objects that overlap at %d", next)
		}
	}
	const maxPadding = 7 // alignment is at most 8
	end := uint64(0)
	for _, s := range append(v.spans, span{uint64(len(v.body)), uint64(len(v.body))}) {
		if s.start-end > maxPadding {
			return fmt.Errorf("got %d bytes at %d that belong to nothing", s.start-end, end)
		}
		for _, c := range v.body[end:s.start] {
			if c != 0 {
				return fmt.Errorf("got padding other than 0 before %d", s.start)
			}
		}
		end = s.end
	}
	return nil
}
