package cuda

import (
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// step adds the operations of plan step i.
func (p *program) step(i int) error {
	s := &p.plan.Steps[i]
	p.kernels[i] = s.Kind.String() + " own"
	if err := p.checkTypes(s); err != nil {
		return err
	}
	switch s.Kind {
	case ir.Conv, ir.ConvGradData, ir.ConvGradWeights:
		return p.conv(i, s)
	case ir.Linear, ir.LinearGradData, ir.LinearGradWeights:
		p.kernels[i] = s.Kind.String() + " cublas"
		return p.linear(s)
	case ir.BatchNorm:
		return p.batchNorm(s)
	case ir.BatchNormGrad:
		return p.batchNormGrad(s)
	case ir.ScaleWeights, ir.ScaleWeightsGrad, ir.ShiftBias, ir.ShiftBiasGrad, ir.UpdateRunning:
		return p.fold(s)
	case ir.MaxPool, ir.MaxPoolGrad, ir.Pool, ir.PoolGrad, ir.GatedPool, ir.GatedPoolGrad:
		return p.pooling(s)
	case ir.Adam:
		return p.adam(s)
	}
	return p.elements(s)
}

// checkTypes refuses a step whose operands are not kept in the type that its kernels read: none that graph makes, but a program made by hand may.
func (p *program) checkTypes(s *ir.Step) error {
	if p.ex.elementBytes() == 4 {
		return nil
	}
	for k, id := range s.In {
		t := &p.plan.Tensors[id]
		if len(t.Shape) != 4 || t.DType != ir.F32 {
			continue
		}
		if want, any := p.wantsTyped(s, k); !any && want != p.typedTensor[id] {
			return errs.New(errs.Unsupported, "cuda: operand %d is not kept in the type that the step reads in this precision", k)
		}
	}
	return nil
}

// wantsTyped says whether operand k is read in the precision's type; any if both will do.
func (p *program) wantsTyped(s *ir.Step, k int) (typed, any bool) {
	switch s.Kind {
	case ir.ScaleWeights, ir.ScaleWeightsGrad, ir.Adam:
		return false, false
	case ir.Conv:
		return true, k == 1 && p.plan.Tensors[s.In[1]].Role == ir.Param // which is copied
	case ir.ConvGradData:
		return true, k == 0 && p.plan.Tensors[s.In[0]].Role == ir.Param
	case ir.Add:
		return p.typedTensor[s.In[0]], false
	}
	return true, false
}

// elements adds kernels that work element by element.
func (p *program) elements(s *ir.Step) error {
	in := func(k int) uint64 { return p.ptr(s.In[k]) }
	n := p.shape(s.In[0]).Count()
	out := p.ptr(s.Out[0])
	switch s.Kind {
	case ir.Normalize:
		return p.normalize(s)
	case ir.ReLU:
		return p.typed(s.Phase, "relu", p.items(n), in(0), out, uint64(n))
	case ir.ReLUGrad:
		if s.Attrs.Residual {
			return p.typed(s.Phase, "relu_grad2", p.items(n), in(0), in(1), in(2), out, uint64(n))
		}
		return p.typed(s.Phase, "relu_grad", p.items(n), in(0), in(1), out, uint64(n))
	case ir.Sigmoid:
		return p.typed(s.Phase, "sigmoid", p.items(n), in(0), out, uint64(n))
	case ir.SigmoidGrad:
		return p.typed(s.Phase, "sigmoid_grad", p.items(n), in(0), in(1), out, uint64(n))
	case ir.Add:
		if !p.typedTensor[s.In[0]] {
			return p.plain(s.Phase, "add_f32", p.items(n), in(0), in(1), out, uint64(n))
		}
		return p.typed(s.Phase, "add", p.items(n), in(0), in(1), out, uint64(n))
	case ir.Dropout:
		return p.plain(s.Phase, "dropout", p.items(n), in(0), out, real(s.Attrs.Rate), uint64(p.argsAt), uint64(n))
	}
	return errs.New(errs.Unsupported, "cuda: the backend has no kernel for this kind")
}

// normalizeBlocks is the most blocks that pay: each makes a table first.
const normalizeBlocks = 1024

func (p *program) normalize(s *ir.Step) error {
	x := p.shape(s.In[0])
	positions := x[0] * x[1] * x[2]
	g := grid{min(normalizeBlocks, (positions+kernels.Threads-1)/kernels.Threads), 1}
	a := &s.Attrs
	return p.typed(s.Phase, "normalize", g, p.ptr(s.In[0]), p.ptr(s.Out[0]), real(a.Mean[0]), real(a.Mean[1]), real(a.Mean[2]),
		real(a.Std[0]), real(a.Std[1]), real(a.Std[2]), uint64(positions), uint64(p.channels[s.Out[0]]))
}

// pooling adds kernels over the positions of feature maps.
func (p *program) pooling(s *ir.Step) error {
	a := &s.Attrs
	switch s.Kind {
	case ir.MaxPool:
		x := p.shape(s.In[0])
		oh, ow := ir.ConvOut(x[1], a.Kernel, a.Stride, a.Pad), ir.ConvOut(x[2], a.Kernel, a.Stride, a.Pad)
		args := append([]uint64{p.ptr(s.In[0]), p.ptr(s.Out[0]), p.ptr(s.Out[1])}, numbers(x[0], x[1], x[2], x[3], oh, ow, a.Kernel, a.Stride, a.Pad)...)
		return p.typed(s.Phase, "max_pool", p.rows(x[0]*oh*ow, x[3]), args...)
	case ir.MaxPoolGrad:
		x, y := a.In, p.shape(s.In[0])
		args := append([]uint64{p.ptr(s.In[0]), p.ptr(s.In[1]), p.ptr(s.Out[0])},
			numbers(x[0], x[1], x[2], x[3], y[1], y[2], a.Kernel, a.Stride, a.Pad)...)
		return p.typed(s.Phase, "max_pool_grad", p.rows(x[0]*x[1]*x[2], x[3]), args...)
	case ir.PoolGrad:
		x := a.In
		return p.typed(s.Phase, "pool_grad", p.rows(x[0]*x[1]*x[2], x[3]), append([]uint64{p.ptr(s.In[0]), p.ptr(s.Out[0])}, numbers(x[0], x[1]*x[2], x[3])...)...)
	}
	x := p.shape(s.In[0])
	extents := numbers(x[0], x[1]*x[2], x[3])
	perImage := grid{x[0], p.rows(x[1]*x[2], x[3]).y}
	switch s.Kind {
	case ir.Pool:
		return p.typed(s.Phase, "pool", perImage, append([]uint64{p.ptr(s.In[0]), p.ptr(s.Out[0])}, extents...)...)
	case ir.GatedPool:
		return p.typed(s.Phase, "gated_pool", perImage, append([]uint64{p.ptr(s.In[0]), p.ptr(s.In[1]), p.ptr(s.Out[0])}, extents...)...)
	}
	const positionsPerBlock = 8
	g := grid{(x[0]*x[1]*x[2] + positionsPerBlock - 1) / positionsPerBlock, 1}
	args := append([]uint64{p.ptr(s.In[0]), p.ptr(s.In[1]), p.ptr(s.In[2]), p.ptr(s.Out[0]), p.ptr(s.Out[1])}, extents...)
	return p.typed(s.Phase, "gated_pool_grad", g, args...)
}

// linear adds matrix products, all in float32: they are small.
func (p *program) linear(s *ir.Step) error {
	a, b := p.shape(s.In[0]), p.shape(s.In[1])
	first, second, out := p.ptr(s.In[0]), p.ptr(s.In[1]), p.ptr(s.Out[0])
	switch s.Kind {
	case ir.Linear: // v·wᵀ + b
		n, c, d := a[0], a[1], b[0]
		if err := p.gemm(s.Phase, false, true, n, d, c, first, second, out); err != nil {
			return err
		}
		x, y := kernels.RowGrid(n, d, 4)
		return p.plain(s.Phase, "epilogue_f32", grid{x, y}, append([]uint64{out, p.ptr(s.In[2]), 0, 0}, numbers(n, d)...)...)
	case ir.LinearGradData: // de·w
		return p.gemm(s.Phase, false, false, b[0], a[1], a[0], second, first, out)
	}
	if s.Out[1] != ir.None {
		if err := p.channelSum(s.Phase, second, 4, p.ptr(s.Out[1]), b[0], b[1]); err != nil {
			return err
		}
	}
	if s.Out[0] == ir.None {
		return nil
	}
	return p.gemm(s.Phase, true, false, b[1], a[1], a[0], second, first, out) // deᵀ·v
}

// gemm adds out [m,n] = op(a)·op(b) of dense matrices. It is also run once now, so that the library has loaded what a capture needs.
func (p *program) gemm(ph ir.Phase, transA, transB bool, m, n, k int, a, b, out uint64) error {
	lda, ldb := k, n
	if transA {
		lda = m
	}
	if transB {
		ldb = k
	}
	run := func() error { return p.ex.handles.Gemm(transA, transB, m, n, k, a, lda, b, ldb, out, n, false) }
	p.add(ph, run)
	return run()
}
