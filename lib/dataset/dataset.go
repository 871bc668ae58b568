// Package dataset is what training and evaluation read: labelled pictures from a manifest, from a folder per class or
// from arrays, their splits, the class-balanced sampler, and the loader that decodes and augments ahead of training.
//
// Invariants: labels are 0 to NumClasses()−1; group and class numbers index GroupNames and ClassNames; pictures that
// Decode gives are shared and never written to. Everything random draws from named streams of a seed, so a run is the
// same for any number of goroutines. The package knows neither networks nor losses.
package dataset

import (
	"fmt"
	"sync/atomic"

	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// Split is the part of the data that a picture belongs to.
type Split uint8

// The splits. A data set whose source names none has all pictures in Train until HoldOut.
const (
	Train Split = iota
	Val
	Test
)

var splitNames = [...]string{"train", "val", "test"}

func (s Split) String() string {
	if int(s) >= len(splitNames) {
		return fmt.Sprintf("split %d", uint8(s))
	}
	return splitNames[s]
}

// NoGroup is the group of a picture that belongs to none: it counts as a group of its own.
const NoGroup = -1

// maxLabel bounds labels, because class tables and classification heads grow with the largest one.
const maxLabel = 65535

// Sample is one labelled picture.
type Sample struct {
	Name  string // base name of the file, or "image 12" in memory; for messages
	Label int64
	Group int // index into GroupNames (patient, lesion, study), or NoGroup
	Split Split
	Path  string         // of the file; empty in memory
	Mask  string         // path of a lesion mask, or empty
	image *imageio.Image // of FromImages
	mask  *imageio.Image // of FromImages
	row   int            // of the arrays
	bytes int64          // file size, for the hash; -1 when there is no file
}

// Dataset is a list of samples. Its methods may run on many goroutines, except HoldOut, Check and SetCacheLimit, which change it.
type Dataset struct {
	Samples    []Sample
	ClassNames []string // by label; the number in digits where the source has no name
	GroupNames []string
	Warnings   []string // what the source holds that a person should know: skipped files, groups in two splits
	MaxPixels  int      // limit of one picture; 0 means imageio.DefaultMaxPixels

	arrays arraySource
	cache  cache
}

// NumClasses is the largest label plus one.
func (d *Dataset) NumClasses() int { return len(d.ClassNames) }

// Indices lists the samples of a split, in order.
func (d *Dataset) Indices(s Split) []int {
	var out []int
	for i := range d.Samples {
		if d.Samples[i].Split == s {
			out = append(out, i)
		}
	}
	return out
}

// Labels of the given samples.
func (d *Dataset) Labels(indices []int) []int64 {
	out := make([]int64, len(indices))
	for i, at := range indices {
		out[i] = d.Samples[at].Label
	}
	return out
}

// Groups of the given samples: equal numbers are equal groups, and a picture without a group gets a number of its own,
// so that every number is ≥ 0.
func (d *Dataset) Groups(indices []int) []int64 {
	out := make([]int64, len(indices))
	for i, at := range indices {
		out[i] = int64(d.groupOf(at))
	}
	return out
}

// HasGroups says whether any sample names its group.
func (d *Dataset) HasGroups() bool { return len(d.GroupNames) > 0 }

func (d *Dataset) groupOf(i int) int {
	if g := d.Samples[i].Group; g != NoGroup {
		return g
	}
	return len(d.GroupNames) + i
}

// Decode gives picture i, from the cache when it is there.
// Errors: those of imageio, which name the file; Invalid for an index out of range.
func (d *Dataset) Decode(i int) (*imageio.Image, error) { return d.DecodeWith(new(imageio.Decoder), i) }

// DecodeWith is Decode with the memory of dec: the picture is valid until dec decodes another one.
func (d *Dataset) DecodeWith(dec *imageio.Decoder, i int) (*imageio.Image, error) {
	if i < 0 || i >= len(d.Samples) {
		return nil, errs.New(errs.Invalid, "dataset: sample: got index %d, want 0 to %d", i, len(d.Samples)-1)
	}
	if img := d.cache.get(i); img != nil {
		return img, nil
	}
	s := &d.Samples[i]
	if s.image != nil {
		return s.image, nil
	}
	if s.Path == "" {
		img, shared, err := d.arrays.decode(s)
		if err == nil && !shared {
			d.cache.put(i, img)
		}
		return img, err
	}
	img, err := dec.DecodeFile(s.Path, d.MaxPixels)
	if err == nil && d.cache.room(i, img.Bytes()) {
		d.cache.put(i, img.Clone())
	}
	return img, err
}

// HasMask says whether the sample comes with a mask.
func (s *Sample) HasMask() bool { return s.Mask != "" || s.mask != nil }

// DecodeMask gives the mask of sample i, upright, as the picture of its file; a mask need not have the picture's size.
// Errors: those of imageio; NotFound when the sample has none.
func (d *Dataset) DecodeMask(i int) (*imageio.Image, error) {
	if i < 0 || i >= len(d.Samples) {
		return nil, errs.New(errs.Invalid, "dataset: sample: got index %d, want 0 to %d", i, len(d.Samples)-1)
	}
	if !d.Samples[i].HasMask() {
		return nil, errs.New(errs.NotFound, "dataset: sample %q: it has no mask", d.Samples[i].Name)
	}
	if m := d.Samples[i].mask; m != nil {
		return m, nil
	}
	return imageio.DecodeFile(d.Samples[i].Mask, d.MaxPixels)
}

// DefaultCacheBytes is how much decoded pixels a data set keeps when nobody says otherwise: 2 GiB.
const DefaultCacheBytes = 2 << 30

// cache keeps decoded pictures until its limit is reached; the rest is decoded each time. Nothing is ever evicted:
// training visits all pictures evenly, so no choice would be better than the first come.
type cache struct {
	images []atomic.Pointer[imageio.Image]
	used   atomic.Int64
	limit  int64
}

// SetCacheLimit empties the cache of decoded pictures and sets its limit in bytes; 0 means none is kept.
func (d *Dataset) SetCacheLimit(bytes int64) {
	d.cache = cache{images: make([]atomic.Pointer[imageio.Image], len(d.Samples)), limit: bytes}
}

// CachedBytes is the memory that decoded pictures take now.
func (d *Dataset) CachedBytes() int64 { return d.cache.used.Load() }

func (c *cache) get(i int) *imageio.Image {
	if i >= len(c.images) {
		return nil
	}
	return c.images[i].Load()
}

// room says whether put would keep picture i, as far as nobody else puts one now.
func (c *cache) room(i int, bytes int64) bool {
	return i < len(c.images) && c.used.Load()+bytes <= c.limit
}

func (c *cache) put(i int, img *imageio.Image) {
	if i >= len(c.images) || c.used.Add(img.Bytes()) > c.limit || !c.images[i].CompareAndSwap(nil, img) {
		if i < len(c.images) {
			c.used.Add(-img.Bytes())
		}
	}
}
