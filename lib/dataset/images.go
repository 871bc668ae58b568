package dataset

import (
	"fmt"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// Labelled is one labelled picture in memory.
type Labelled struct {
	Image *imageio.Image
	Label int64 // 0 to 65535
	Split Split
	Group string         // patient, lesion or study; empty for none
	Mask  *imageio.Image // nonzero inside, of any size; nil for none
}

// FromImages makes a data set of decoded pictures, which may differ in size; they are kept, not copied. classNames
// gives names by label, for any of the labels.
// Errors: Invalid for no pictures, an empty picture, or a label or split out of range.
func FromImages(images []Labelled, classNames map[int64]string) (*Dataset, error) {
	b := newBuilder()
	for label, name := range classNames {
		b.nameClass(label, name)
	}
	for i, m := range images {
		if m.Image == nil || m.Image.Width < 1 || len(m.Image.Pix) != 3*m.Image.Width*m.Image.Height {
			return nil, errs.New(errs.Invalid, "dataset: image %d: got none or an empty one, want pixels", i)
		}
		if m.Label < 0 || m.Label > maxLabel || m.Split > Test {
			return nil, errs.New(errs.Invalid, "dataset: image %d: got label %d in %v, want a label of 0 to %d in train, val or test",
				i, m.Label, m.Split, maxLabel)
		}
		b.d.Samples = append(b.d.Samples, Sample{Name: fmt.Sprintf("image %d", i), Label: m.Label, Split: m.Split,
			Group: b.groupNumber(m.Group), image: m.Image, mask: m.Mask, row: i, bytes: -1})
	}
	return b.finish("images")
}
