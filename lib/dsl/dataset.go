package dsl

import (
	"libdsl/lib/errs"
)

// Dataset is labelled images: a list of files, or images in memory. It has one user at a time.
type Dataset struct{}

var errLater = errs.New(errs.Unsupported, "dsl: not in this build")

// OpenDataset opens a manifest (CSV) or a folder with a subfolder per class. Image files are read when needed.
// Errors: NotFound, IO; Invalid naming the row of a manifest that makes no sense.
func OpenDataset(path string) (*Dataset, error) { return nil, errLater }

// NewDataset is an empty dataset for Add.
func NewDataset() *Dataset { return &Dataset{} }

// Sample is one labelled image in memory.
type Sample struct {
	Image *Image
	Label int64  // ≥ 0
	Split string // "train", "val", "test"; "" is "train"
	Group string // patient, lesion or study; "" for none
}

// Add appends a sample. Errors: Invalid, also for a dataset that was opened from files.
func (d *Dataset) Add(s Sample) error { return errLater }

// SetClassName names the class of a label. Errors: Invalid for a negative label or an empty name.
func (d *Dataset) SetClassName(label int64, name string) error { return errLater }

// Size is the number of images of a split; "" counts all. Errors: Invalid for an unknown split's name.
func (d *Dataset) Size(split string) (int, error) { return 0, errLater }
