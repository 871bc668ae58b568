package network

import (
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
	return Inference{r}, nil
}

// Close frees everything.
func (i Inference) Close() {
	i.Runner.Close()
	i.Store.Close()
}
