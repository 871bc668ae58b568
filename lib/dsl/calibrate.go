package dsl

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/model"
	"libdsl/lib/rng"
)

// CalibrateOptions says with which images a model is calibrated, and where; the zero value is 256 training images on "auto".
type CalibrateOptions struct {
	Split     string // of the dataset, "" is "train"
	NumImages int    // so many of the split, drawn at random but always the same, or all if it has fewer; 0 is 256
	Device    string // as in SessionOptions
	Threads   int    // as in SessionOptions
}

// defaultCalibration images; with a quarter of them a ResNet-18 of 128 pixels embedded HAM10000 as well: a mean cosine of int8 and f32 of 0.9996.
const defaultCalibration = 256

// Calibrate measures the ranges of the network's feature maps on images of d, which the precision "int8" needs, and returns a copy of the model that
// knows them; it saves them with itself. Labels do not count. Embeddings in other precisions stay as they are, and the copy is the same model to an
// index. Errors: NotFound for a split without images; Invalid for options; Cancelled, Device, and those of reading images.
func (m *Model) Calibrate(ctx context.Context, d *Dataset, o CalibrateOptions) (*Model, error) {
	if o.NumImages < 0 {
		return nil, errs.New(errs.Invalid, "dsl: calibrate: images: got %d, want 0 (%d) or more", o.NumImages, defaultCalibration)
	}
	if o.Split == "" {
		o.Split = "train"
	}
	if o.NumImages == 0 {
		o.NumImages = defaultCalibration
	}
	if err := checkThreads(o.Threads); err != nil {
		return nil, err
	}
	data, err := d.data()
	if err != nil {
		return nil, err
	}
	indices, err := indicesOf(data, o.Split)
	if err != nil {
		return nil, err
	}
	if len(indices) == 0 {
		return nil, errs.New(errs.NotFound, "dsl: calibrate: the dataset has no %q images", o.Split)
	}
	drawn := rng.New(0, "calibrate").Perm(len(indices))[:min(o.NumImages, len(indices))]
	image := pictures(func(dec *imageio.Decoder, i int) (*Image, error) { return data.DecodeWith(dec, indices[drawn[i]]) })
	ranges, err := m.measure(ctx, o, len(drawn), image)
	if err != nil {
		return nil, err
	}
	net := &model.Model{Arch: m.net.Arch, Head: m.net.Head, InputSize: m.net.InputSize, ClassNames: m.net.ClassNames, Learners: m.net.Learners,
		Weights: m.net.Weights, Ranges: ranges}
	return newModel(net, m.card), nil
}

func (m *Model) measure(ctx context.Context, o CalibrateOptions, n int, image source) (model.Ranges, error) {
	be, err := openBackend(o.Device, "f32")
	if err != nil {
		return nil, err
	}
	if err := m.retain(); err != nil {
		return nil, err
	}
	defer m.release()
	team := threads(o.Threads)
	fill := evaluated(ctx, newWorkers(team, m.InputSize()), image)
	return m.net.MeasureRanges(ctx, be, backend.Options{Threads: team, Winograd: true}, n, fill)
}
