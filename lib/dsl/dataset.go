package dsl

import (
	"sync"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
)

// Dataset is labelled images: a list of files, or images in memory. Its methods may run on several goroutines.
type Dataset struct {
	open func() (*dataset.Dataset, error) // reads the files anew; nil for images in memory

	mu       sync.Mutex
	pictures []dataset.Labelled
	classes  map[int64]string
	built    *dataset.Dataset // nil until it is needed, and after a change
}

// OpenDataset opens a manifest (CSV), a folder of a published data set (ISIC 2019, HAM10000, MURA, HyperKvasir, see
// dataset.ReadPublished), or a folder with a subfolder per class. Image files are read when needed.
// Errors: NotFound, IO; Invalid naming the row of a manifest that makes no sense.
func OpenDataset(path string) (*Dataset, error) {
	return openFiles(func() (*dataset.Dataset, error) { return dataset.Open(path) })
}

// OpenDatasetLists opens lists of training and test images as the method's authors publish them; see
// dataset.ReadLists. Image files are read when needed. Errors: as OpenDataset.
func OpenDatasetLists(train, test, folder string) (*Dataset, error) {
	return openFiles(func() (*dataset.Dataset, error) { return dataset.ReadLists(train, test, folder) })
}

func openFiles(open func() (*dataset.Dataset, error)) (*Dataset, error) {
	built, err := open()
	if err != nil {
		return nil, err
	}
	return &Dataset{open: open, built: built}, nil
}

// NewDataset is an empty dataset for Add.
func NewDataset() *Dataset { return &Dataset{classes: map[int64]string{}} }

// Sample is one labelled image in memory.
type Sample struct {
	Image *Image
	Label int64  // 0 to 65535
	Split string // "train", "val", "test"; "" is "train"
	Group string // patient, lesion or study; "" for none
}

// Add appends a sample. Errors: Invalid, also for a dataset that was opened from files.
func (d *Dataset) Add(s Sample) error {
	split, err := parseSplit(s.Split)
	if err != nil {
		return err
	}
	if d.open != nil {
		return errs.New(errs.Invalid, "dsl: dataset: it was opened from files, so images cannot be added; create an empty one")
	}
	if s.Image == nil || s.Label < 0 || s.Label > 65535 {
		return errs.New(errs.Invalid, "dsl: dataset: image %d: got label %d, want 0 to 65535 and an image", len(d.pictures), s.Label)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pictures = append(d.pictures, dataset.Labelled{Image: s.Image, Label: s.Label, Split: split, Group: s.Group})
	d.built = nil
	return nil
}

// SetMask says where the finding of image index, in the order of Add, lies: mask is nonzero there and may have another size.
// Errors: Invalid, also for a dataset that was opened from files.
func (d *Dataset) SetMask(index int, mask *Image) error {
	if d.open != nil {
		return errs.New(errs.Invalid, "dsl: dataset: it was opened from files; name masks in the manifest")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if mask == nil || index < 0 || index >= len(d.pictures) {
		return errs.New(errs.Invalid, "dsl: dataset: mask of image %d: want a mask, and an image of the %d that were added", index, len(d.pictures))
	}
	d.pictures[index].Mask = mask
	d.built = nil
	return nil
}

// SetClassName names the class of a label. Errors: Invalid, also for a dataset that was opened from files.
func (d *Dataset) SetClassName(label int64, name string) error {
	if d.open != nil {
		return errs.New(errs.Invalid, "dsl: dataset: it was opened from files, which name the classes")
	}
	if label < 0 || label > 65535 || name == "" {
		return errs.New(errs.Invalid, "dsl: dataset: class name: got label %d, name %q, want 0 to 65535 and a name", label, name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.classes[label] = name
	d.built = nil
	return nil
}

// Size is the number of images of a split; "" counts all. Errors: Invalid for an unknown split's name.
func (d *Dataset) Size(split string) (int, error) {
	if d.open == nil && len(d.pictures) == 0 {
		_, err := parseSplit(split)
		return 0, err
	}
	data, err := d.data()
	if err != nil {
		return 0, err
	}
	indices, err := indicesOf(data, split)
	return len(indices), err
}

// Manifest is the dataset as the text of a manifest (see dataset.ReadManifest): a line for each image with its path,
// label, class name, mask, split and group. Images in memory have no path.
// Errors: Invalid for an empty dataset.
func (d *Dataset) Manifest() ([]byte, error) {
	data, err := d.data()
	if err != nil {
		return nil, err
	}
	return data.Manifest(), nil
}

// data is what reading needs; nobody may change it.
func (d *Dataset) data() (*dataset.Dataset, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.built != nil {
		return d.built, nil
	}
	var err error
	d.built, err = dataset.FromImages(d.pictures, d.classes)
	return d.built, err
}

// fresh is a dataset of its own, for training, which changes it.
func (d *Dataset) fresh() (*dataset.Dataset, error) {
	if d.open != nil {
		return d.open()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return dataset.FromImages(d.pictures, d.classes)
}

func parseSplit(name string) (dataset.Split, error) {
	if name == "" {
		return dataset.Train, nil
	}
	for _, s := range []dataset.Split{dataset.Train, dataset.Val, dataset.Test} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, errs.New(errs.Invalid, "dsl: split: got %q, want \"train\", \"val\" or \"test\"", name)
}

// indicesOf lists the samples of a split, of all splits for "".
func indicesOf(d *dataset.Dataset, split string) ([]int, error) {
	if split == "" {
		all := make([]int, len(d.Samples))
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	s, err := parseSplit(split)
	if err != nil {
		return nil, err
	}
	return d.Indices(s), nil
}
