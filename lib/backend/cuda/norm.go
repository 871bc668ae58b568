package cuda

import (
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/ir"
)

// batchNorm adds the statistics of a batch, in two kernels, and their application.
func (p *program) batchNorm(s *ir.Step) error {
	x := p.shape(s.In[0])
	rows, c := x[0]*x[1]*x[2], x[3]
	mean, variance, err := p.statistics(s, c)
	if err != nil {
		return err
	}
	err = p.sums(s.Phase, "batch_norm_stats", "batch_norm_final", int(p.ex.elementBytes()), rows, c, 2,
		func(parts uint64) []uint64 { return append([]uint64{p.ptr(s.In[0]), parts}, numbers(rows, c)...) },
		func(parts, n uint64) []uint64 { return []uint64{parts, mean, variance, uint64(rows), n, uint64(c)} })
	if err != nil || s.Out[0] == ir.None {
		return err
	}
	residual := uint64(0)
	if s.Attrs.Residual {
		residual = p.ptr(s.In[3])
	}
	return p.typed(s.Phase, "batch_norm_apply", p.rows(rows, c), p.ptr(s.In[0]), mean, variance, p.ptr(s.In[1]), p.ptr(s.In[2]), residual,
		p.ptr(s.Out[0]), real(s.Attrs.Eps), flag(s.Attrs.ReLU), uint64(rows), uint64(c))
}

// statistics is where mean and variance go: to the outputs, or to memory of our own where nobody reads them.
func (p *program) statistics(s *ir.Step, c int) (mean, variance uint64, err error) {
	return p.pair(s.Out[1], s.Out[2], c)
}

// pair is the memory of two outputs of c numbers, with a place of their own for those that are None.
func (p *program) pair(first, second ir.TensorID, c int) (a, b uint64, err error) {
	at := [2]uint64{p.ptr(first), p.ptr(second)}
	for i := range at {
		if at[i] != 0 {
			continue
		}
		own, err := p.alloc(int64(c) * 4)
		if err != nil {
			return 0, 0, err
		}
		at[i] = uint64(own)
	}
	return at[0], at[1], nil
}

func (p *program) batchNormGrad(s *ir.Step) error {
	in := func(k int) uint64 { return p.ptr(s.In[k]) }
	x, mean, variance, gamma, dy, y := in(0), in(1), in(2), in(3), in(4), uint64(0)
	if s.Attrs.ReLU {
		y = in(5)
	}
	shape := p.shape(s.In[0])
	rows, c := shape[0]*shape[1]*shape[2], shape[3]
	dgamma, dbeta, err := p.pair(s.Out[1], s.Out[2], c)
	if err != nil {
		return err
	}
	eps := real(s.Attrs.Eps)
	err = p.sums(s.Phase, "batch_norm_grad_sums", "batch_norm_grad_final", int(p.ex.elementBytes()), rows, c, 2,
		func(parts uint64) []uint64 { return []uint64{x, dy, y, mean, parts, uint64(rows), uint64(c)} },
		func(parts, n uint64) []uint64 { return []uint64{parts, variance, dgamma, dbeta, eps, n, uint64(c)} })
	if err != nil || s.Out[0] == ir.None {
		return err
	}
	return p.typed(s.Phase, "batch_norm_grad_apply", p.rows(rows, c), x, dy, y, mean, variance, gamma, dgamma, dbeta, p.ptr(s.Out[0]), eps,
		uint64(rows), uint64(c))
}

// fold adds what frozen BatchNorm makes of weights, and the running statistics.
func (p *program) fold(s *ir.Step) error {
	in := func(k int) uint64 { return p.ptr(s.In[k]) }
	eps := real(s.Attrs.Eps)
	n := p.shape(s.In[0])[0]
	switch s.Kind {
	case ir.ScaleWeights:
		return p.pack(s.Phase, s.In[0], in(1), in(2), eps, p.ptr(s.Out[0]), p.channels[s.Out[0]])
	case ir.ScaleWeightsGrad:
		w := p.shape(s.In[0])
		return p.plain(s.Phase, "scale_weights_grad_f32", grid{w[0], 1}, in(0), in(1), in(2), in(3), p.ptr(s.Out[0]), p.ptr(s.Out[1]), eps,
			uint64(w[1]*w[2]), uint64(w[3]), uint64(w[3]))
	case ir.ShiftBias:
		return p.plain(s.Phase, "shift_bias", few(n), in(0), in(1), in(2), in(3), p.ptr(s.Out[0]), eps, uint64(n))
	case ir.ShiftBiasGrad: // gamma is not needed
		return p.plain(s.Phase, "shift_bias_grad", few(n), in(1), in(2), in(3), p.ptr(s.Out[0]), eps, uint64(n))
	}
	return p.plain(s.Phase, "update_running", few(n), in(0), in(1), in(2), in(3), uint64(p.argsAt), uint64(s.Attrs.Count), uint64(n))
}

// few is the grid of kernels with one number per thread.
func few(n int) grid { return grid{(n + kernels.Threads - 1) / kernels.Threads, 1} }

// pack adds the conversion of weights to the precision's type with so many channels, scaled where γ is given.
func (p *program) pack(ph ir.Phase, id ir.TensorID, gamma, variance, eps, to uint64, channels int) error {
	w := p.shape(id)
	return p.typed(ph, "pack_weights", p.items(w[0]*w[1]*w[2]*channels), p.ptr(id), gamma, variance, to, eps,
		uint64(w[0]), uint64(w[1]*w[2]), uint64(w[3]), uint64(channels))
}
