package dataset

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash identifies the data for checkpoints and model cards without giving away paths, patients or pixels. It is the
// SHA-256 of: the text "dsl dataset 1\n"; the number of classes and each class name; then for every sample in order
// its label, split, group (by its first sample's position, so that the group's name does not matter; the sample's own
// position without a group), file size in bytes (-1 for arrays and missing files) and base name. Numbers are 64-bit
// little-endian, texts are preceded by their length. Pixels are not read: a file changed without changing its size is
// not noticed, and neither are values of arrays.
func (d *Dataset) Hash() [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte("dsl dataset 1\n"))
	buf := make([]byte, 0, 256)
	number := func(v int64) { buf = binary.LittleEndian.AppendUint64(buf, uint64(v)) }
	text := func(s string) { number(int64(len(s))); buf = append(buf, s...) }
	number(int64(len(d.ClassNames)))
	for _, name := range d.ClassNames {
		text(name)
	}
	first := map[int]int{}
	for i := range d.Samples {
		s := &d.Samples[i]
		g := d.groupOf(i)
		if _, seen := first[g]; !seen {
			first[g] = i
		}
		number(s.Label)
		number(int64(s.Split))
		number(int64(first[g]))
		number(s.bytes)
		text(s.Name)
		h.Write(buf)
		buf = buf[:0]
	}
	return [sha256.Size]byte(h.Sum(nil))
}
