// Command run computes what parity.py compares: it reads a network (package network) and writes, as raw float32 files under
// FOLDER/out, the training forward pass, the gradients, the running statistics, the weights after 1 and 3 Adam steps, and inference.
package main

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"libdsl/lib/backend"
	"libdsl/lib/ir"
	"libdsl/lib/model"
	"libdsl/tests/internal/network"
)

func main() {
	winograd := flag.Bool("winograd", false, "allow Winograd convolutions in inference")
	network.Main(func(n *network.Network, be backend.Backend, threads int) error {
		out := filepath.Join(n.Dir, "out")
		if err := training(n, be, backend.Options{Threads: threads}, out); err != nil {
			return err
		}
		if err := calibration(n, be, backend.Options{Threads: threads}, out); err != nil {
			return err
		}
		return inference(n, be, backend.Options{Threads: threads, Winograd: *winograd}, out)
	})
}

// training writes the forward pass, the gradients, and the weights after each of the steps that are compared.
func training(net *network.Network, be backend.Backend, o backend.Options, out string) error {
	t, err := net.NewTraining(be, o)
	if err != nil {
		return err
	}
	defer t.Close()
	// β₁ = 0 and no decay make Adam's first moment the gradient itself; a learning rate of 0 leaves the weights alone.
	if err := t.Step(&ir.Args{Beta2: 0.999, AdamEps: 1e-8, Step: 1, BNMomentum: 0.1}); err != nil {
		return err
	}
	for _, name := range []string{model.OutEmbedding, model.OutAttention} {
		values, err := t.Program.Output(name)
		if err != nil {
			return err
		}
		if err := network.WriteFloats(filepath.Join(out, "forward", name+".f32"), values); err != nil {
			return err
		}
	}
	if err := write(t, out, "gradient", ir.Param, model.MomentName); err != nil {
		return err
	}
	if err := write(t, out, "running", ir.State, nil); err != nil {
		return err
	}
	if err := t.Reset(); err != nil {
		return err
	}
	for step := int64(1); step <= 3; step++ {
		if err := t.Step(network.Adam(step, 1e-3, 1e-4)); err != nil {
			return err
		}
		if step == 2 {
			continue
		}
		if err := write(t, out, fmt.Sprintf("step%d", step), ir.Param, nil); err != nil {
			return err
		}
	}
	return write(t, out, "running3", ir.State, nil)
}

// write saves the parameters, or the running statistics, of a store under a folder; stored gives the name in the store.
func write(t *network.Training, out, folder string, role ir.Role, stored func(string) string) error {
	for _, x := range t.Tensors {
		if x.Role != role || strings.HasPrefix(x.Name, "adam.") {
			continue
		}
		name := x.Name
		if stored != nil {
			name = stored(name)
		}
		values, err := t.Read(name)
		if err != nil {
			return err
		}
		if err := network.WriteFloats(filepath.Join(out, folder, x.Name+".f32"), values); err != nil {
			return err
		}
	}
	return nil
}

// calibration writes the running statistics after a pass that updates nothing else.
func calibration(net *network.Network, be backend.Backend, o backend.Options, out string) error {
	t, err := net.NewCalibration(be, o)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Step(&ir.Args{BNMomentum: 0.1}); err != nil {
		return err
	}
	return write(t, out, "calibrated", ir.State, nil)
}

// inference writes what a model.Runner gives for the network before any step.
func inference(net *network.Network, be backend.Backend, o backend.Options, out string) error {
	r, err := net.NewInference(be, o)
	if err != nil {
		return err
	}
	defer r.Close()
	var e, v, a []float32
	per := net.Height * net.Width * 3
	err = r.Run(context.Background(), model.Embed, net.Batch, net.Height, net.Width,
		func(first, count int, pixels []byte) error {
			copy(pixels, net.Pixels[first*per:(first+count)*per])
			return nil
		},
		func(res *model.Result) error {
			e, v, a = slices.Concat(e, res.Embedding), slices.Concat(v, res.Penultimate), slices.Concat(a, res.Attention)
			return nil
		})
	if err != nil {
		return err
	}
	for name, values := range map[string][]float32{model.OutEmbedding: e, model.OutPenultimate: v, model.OutAttention: a} {
		if err := network.WriteFloats(filepath.Join(out, "inference", name+".f32"), values); err != nil {
			return err
		}
	}
	return nil
}
