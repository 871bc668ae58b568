package dsl

import (
	"testing"

	"libdsl/lib/errs"
)

func TestMasksOfImagesInMemory(t *testing.T) {
	img, mask := &Image{Width: 1, Height: 1, Pix: make([]uint8, 3)}, &Image{Width: 2, Height: 2, Pix: make([]uint8, 12)}
	d := NewDataset()
	for range 2 {
		if err := d.Add(Sample{Image: img}); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		index int
		mask  *Image
		want  errs.Kind
	}{{1, mask, errs.OK}, {2, mask, errs.Invalid}, {-1, mask, errs.Invalid}, {0, nil, errs.Invalid}} {
		if err := d.SetMask(c.index, c.mask); errs.KindOf(err) != c.want {
			t.Errorf("mask %d: got %v, want %v", i, err, c.want)
		}
	}
	data, err := d.data()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := data.DecodeMask(1); err != nil || got != mask {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := data.DecodeMask(0); errs.KindOf(err) != errs.NotFound {
		t.Errorf("an image without a mask: got %v", err)
	}
}
