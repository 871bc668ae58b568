package dataset

import (
	"fmt"
	"strconv"

	"libdsl/lib/errs"
)

// builder collects samples with their class and group names; the sources share it.
type builder struct {
	d       *Dataset
	classes map[int64]string
	groups  map[string]int
}

func newBuilder() *builder {
	return &builder{d: &Dataset{}, classes: map[int64]string{}, groups: map[string]int{}}
}

// nameClass notes that label is called name; an empty name says nothing. It returns false, and the name that the
// label had, when they disagree.
func (b *builder) nameClass(label int64, name string) (string, bool) {
	had := b.classes[label]
	if name == "" || had == name {
		b.classes[label] = had
		return had, true
	}
	if had == "" {
		b.classes[label] = name
		return name, true
	}
	return had, false
}

// groupNumber numbers groups in the order of their appearance.
func (b *builder) groupNumber(name string) int {
	if name == "" {
		return NoGroup
	}
	g, ok := b.groups[name]
	if !ok {
		g = len(b.d.GroupNames)
		b.groups[name] = g
		b.d.GroupNames = append(b.d.GroupNames, name)
	}
	return g
}

// finish fills in class names, looks for leaks and opens the cache.
func (b *builder) finish(source string) (*Dataset, error) {
	d := b.d
	if len(d.Samples) == 0 {
		return nil, errs.New(errs.Invalid, "dataset: source %q: got no images, want at least one", source)
	}
	top := int64(0)
	for i := range d.Samples {
		top = max(top, d.Samples[i].Label)
	}
	d.ClassNames = make([]string, top+1)
	labelOf := map[string]int{}
	for label := range d.ClassNames {
		name := b.classes[int64(label)]
		if name == "" {
			name = strconv.Itoa(label)
		}
		if other, twice := labelOf[name]; twice {
			return nil, errs.New(errs.Invalid, "dataset: source %q: got the class name %q for the labels %d and %d, want different names",
				source, name, other, label)
		}
		labelOf[name] = label
		d.ClassNames[label] = name
	}
	if n := d.leakingGroups(); n > 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf(
			"source %q: %d groups have images in more than one split, so the scores will be too good", source, n))
	}
	d.SetCacheLimit(DefaultCacheBytes)
	return d, nil
}

// leakingGroups counts the groups with pictures in several splits.
func (d *Dataset) leakingGroups() int {
	seen := make([]uint8, len(d.GroupNames)) // bit = split
	for i := range d.Samples {
		if g := d.Samples[i].Group; g != NoGroup {
			seen[g] |= 1 << d.Samples[i].Split
		}
	}
	n := 0
	for _, s := range seen {
		if s&(s-1) != 0 {
			n++
		}
	}
	return n
}
