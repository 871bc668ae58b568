package network

import (
	"context"

	"libdsl/lib/backend"
	"libdsl/lib/model"
)

// Inference runs a network as it was read.
type Inference struct{ *model.Runner }

// NewInference opens a runner on a backend.
func (n *Network) NewInference(be backend.Backend, o backend.Options) (Inference, error) {
	tensors, err := model.Tensors(n.Arch, false)
	if err != nil {
		return Inference{}, err
	}
	store, err := be.NewStore(tensors)
	if err != nil {
		return Inference{}, err
	}
	if err := n.Weights.WriteTo(store); err != nil {
		store.Close()
		return Inference{}, err
	}
	r, err := model.NewRunner(n.Arch, be, store, o, false)
	if err != nil {
		store.Close()
		return Inference{}, err
	}
	if be.PlanOptions().Int8 {
		if r.Ranges, err = n.ranges(o); err != nil {
			Inference{r}.Close()
			return Inference{}, err
		}
	}
	return Inference{r}, nil
}

// ranges are those of the folder's own pixels, which must be square.
func (n *Network) ranges(o backend.Options) (model.Ranges, error) {
	be, err := OpenBackend("onednn", "f32")
	if err != nil {
		return nil, err
	}
	m := &model.Model{Arch: n.Arch, InputSize: n.Height, Weights: n.Weights}
	defer m.Close()
	return m.MeasureRanges(context.Background(), be, o, n.Batch, func(first, count int, pixels []byte) error {
		copy(pixels, n.Pixels[first*n.Height*n.Width*3:])
		return nil
	})
}

// Close frees everything.
func (i Inference) Close() {
	i.Runner.Close()
	i.Store.Close()
}
