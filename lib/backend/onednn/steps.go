package onednn

// #include "program.h"
import "C"

import (
	"unsafe"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// kernelOf lists the kinds that one kernel of our own computes.
var kernelOf = map[ir.Kind]C.int32_t{
	ir.Normalize: C.DSL_NORMALIZE, ir.ScaleWeights: C.DSL_SCALE_WEIGHTS, ir.ScaleWeightsGrad: C.DSL_SCALE_WEIGHTS_GRAD,
	ir.ShiftBias: C.DSL_SHIFT_BIAS, ir.ShiftBiasGrad: C.DSL_SHIFT_BIAS_GRAD, ir.BatchNorm: C.DSL_BATCH_NORM,
	ir.BatchNormGrad: C.DSL_BATCH_NORM_GRAD, ir.UpdateRunning: C.DSL_UPDATE_RUNNING, ir.ReLU: C.DSL_RELU, ir.ReLUGrad: C.DSL_RELU_GRAD,
	ir.Add: C.DSL_ADD, ir.MaxPool: C.DSL_MAX_POOL, ir.MaxPoolGrad: C.DSL_MAX_POOL_GRAD, ir.Sigmoid: C.DSL_SIGMOID,
	ir.SigmoidGrad: C.DSL_SIGMOID_GRAD, ir.Pool: C.DSL_POOL, ir.GatedPool: C.DSL_POOL, ir.PoolGrad: C.DSL_POOL_GRAD,
	ir.GatedPoolGrad: C.DSL_POOL_GRAD, ir.Dropout: C.DSL_DROPOUT, ir.Adam: C.DSL_ADAM,
}

// step adds the C steps of plan step i.
func (p *program) step(i int) error {
	s := &p.plan.Steps[i]
	if p.eight != nil && p.eight.inStem(i) {
		return p.int8Stem(i)
	}
	switch s.Kind {
	case ir.Conv:
		if err := p.scaleWeights(s); err != nil {
			return err
		}
		if p.eight != nil && p.eight.conv[i] {
			return p.int8Conv(i, s)
		}
		return p.conv(i, s)
	case ir.ConvGradData, ir.ConvGradWeights:
		return p.conv(i, s)
	case ir.Linear, ir.LinearGradData, ir.LinearGradWeights:
		return p.linear(i, s)
	}
	kind, ok := kernelOf[s.Kind]
	if !ok {
		return errs.New(errs.Unsupported, "onednn: step %d: %v is not implemented", i, s.Kind)
	}
	k := C.dsl_kernel{kind: kind, flags: flags(s), kernel: C.int32_t(s.Attrs.Kernel), stride: C.int32_t(s.Attrs.Stride), pad: C.int32_t(s.Attrs.Pad),
		eps: C.float(s.Attrs.Eps), rate: C.float(s.Attrs.Rate), samples: C.int64_t(s.Attrs.Count)}
	for c := range 3 {
		k.mean[c], k.std[c] = C.float(s.Attrs.Mean[c]), C.float(s.Attrs.Std[c])
	}
	for j, id := range s.In {
		k.in[j] = p.at[id]
	}
	for j, id := range s.Out {
		k.out[j] = unsafe.Pointer(p.out(id))
	}
	p.extents(s, &k)
	return p.kernel(i, s, &k)
}

func (p *program) kernel(i int, s *ir.Step, k *C.dsl_kernel) error {
	return status(C.dsl_program_kernel(p.c, C.int(s.Phase), C.int(i), k))
}

// out is the memory of an output, nil for None.
func (p *program) out(id ir.TensorID) unsafe.Pointer {
	if id == ir.None {
		return nil
	}
	return p.at[id]
}

func flags(s *ir.Step) (f C.int32_t) {
	if s.Attrs.ReLU {
		f |= C.DSL_RELU_FLAG
	}
	if s.Attrs.Residual {
		f |= C.DSL_RESIDUAL_FLAG
	}
	if s.Attrs.PerRow {
		f |= C.DSL_PER_ROW_FLAG
	}
	if s.Kind == ir.GatedPool || s.Kind == ir.GatedPoolGrad {
		f |= C.DSL_GATE_FLAG
	}
	return f
}

// extents sets what a kernel needs to know of its tensors' shapes.
func (p *program) extents(s *ir.Step, k *C.dsl_kernel) {
	t := &p.plan.Tensors[s.In[0]]
	shape := t.Shape
	switch s.Kind {
	case ir.MaxPoolGrad, ir.PoolGrad:
		if s.Kind == ir.MaxPoolGrad {
			k.oh, k.ow = C.int32_t(shape[1]), C.int32_t(shape[2])
		}
		shape = s.Attrs.In[:]
	case ir.MaxPool:
		k.oh = C.int32_t(ir.ConvOut(shape[1], s.Attrs.Kernel, s.Attrs.Stride, s.Attrs.Pad))
		k.ow = C.int32_t(ir.ConvOut(shape[2], s.Attrs.Kernel, s.Attrs.Stride, s.Attrs.Pad))
	}
	k.count = C.int64_t(ir.Shape(shape).Count())
	k.lanes = 1
	if len(shape) != 4 || p.layout[s.In[0]] == dense && s.Kind != ir.Normalize && s.Kind != ir.PoolGrad {
		k.n = C.int32_t(shape[0])
		k.c = C.int32_t(ir.Shape(shape).Count() / max(shape[0], 1))
		if len(shape) == 1 && !s.Attrs.PerRow {
			k.n, k.c = 1, C.int32_t(shape[0])
		}
		k.h, k.w = 1, 1
		return
	}
	k.n, k.h, k.w, k.c = C.int32_t(shape[0]), C.int32_t(shape[1]), C.int32_t(shape[2]), C.int32_t(shape[3])
	k.count = k.count / C.int64_t(max(shape[3], 1)) * C.int64_t(padded(int64(shape[3])))
	if l := lanes(); int64(shape[3]) >= l {
		k.lanes = C.int32_t(l)
	}
}

func (p *program) conv(i int, s *ir.Step) error {
	a := &s.Attrs
	c := C.dsl_conv{section: C.int32_t(s.Phase), pack_section: C.int32_t(s.Phase), step: C.int32_t(i), flags: flags(s),
		stride: C.int32_t(a.Stride), pad: C.int32_t(a.Pad)}
	var x, y, w ir.Shape
	shape := func(id ir.TensorID) ir.Shape { return p.plan.Tensors[id].Shape }
	switch s.Kind {
	case ir.Conv:
		c._type = C.DSL_CONV
		x, w, y = shape(s.In[0]), shape(s.In[1]), shape(s.Out[0])
		c.x, c.weights, c.y = p.at[s.In[0]], p.at[s.In[1]], p.at[s.Out[0]]
		if _, ok := p.scaled.by[s.In[1]]; ok {
			c.copy_weights = 1
		}
		if a.Bias {
			c.bias = p.at[s.In[2]]
		}
		if a.Residual {
			c.residual = p.at[s.In[len(s.In)-1]]
		}
	case ir.ConvGradData:
		c._type = C.DSL_CONV_GRAD_DATA
		x, w, y = a.In[:], shape(s.In[0]), shape(s.In[1])
		c.x, c.weights, c.y = p.at[s.Out[0]], p.at[s.In[0]], p.at[s.In[1]]
	case ir.ConvGradWeights:
		x, y = shape(s.In[0]), shape(s.In[1])
		w = ir.Shape{y[3], a.Kernel, a.Kernel, x[3]}
		if s.Out[0] == ir.None {
			return p.biasGrad(i, s, y)
		}
		c._type = C.DSL_CONV_GRAD_WEIGHTS
		c.x, c.weights, c.y, c.bias = p.at[s.In[0]], p.at[s.Out[0]], p.at[s.In[1]], p.out(s.Out[1])
	}
	if p.updates {
		c.training = 1
	}
	if (p.ex.winograd || s.Kind == ir.ConvGradWeights) && winogradPays(s.Kind, x, w, y, a) {
		c.winograd = 1
	}
	if s.Kind != ir.ConvGradWeights && p.constant(c.weights) {
		c.pack_section = C.DSL_SETUP
	}
	c.n, c.h, c.w, c.c = C.int32_t(x[0]), C.int32_t(x[1]), C.int32_t(x[2]), C.int32_t(x[3])
	c.oh, c.ow, c.k, c.r = C.int32_t(y[1]), C.int32_t(y[2]), C.int32_t(y[3]), C.int32_t(w[1])
	return status(C.dsl_program_conv(p.c, &c))
}

// The weight gradient may always use Winograd's algorithm: against float64 its error is 0.3 to 1.9 times the direct kernel's (maps of 8 to 56
// pixels, 16 to 256 channels), for it sums over shorter chains. The forward and data kernels' is 2 to 8 times the direct ones'.
//
// winogradPays: at stride 1, and where the tiles of 4×4 outputs do not outgrow the map (measured: at 2×2 it is no better than direct). Forward and
// data kernels of 32 channels or fewer on one side took 1.2 to 1.3 times as long as direct ones.
func winogradPays(kind ir.Kind, x, w, y ir.Shape, a *ir.Attrs) bool {
	channels := 64
	if kind == ir.ConvGradWeights {
		channels = 16
	}
	return w[1] == 3 && a.Stride == 1 && min(x[3], y[3]) >= channels && y[1]*y[2] >= 16
}

// constant reports whether the tensor at that place is a parameter or computed by Setup, so that it changes with the store only.
func (p *program) constant(at unsafe.Pointer) bool {
	for id := range p.plan.Tensors {
		if p.at[id] == at && (p.plan.Tensors[id].Role == ir.Param || p.plan.Tensors[id].Role == ir.State) {
			return true
		}
	}
	for i := range p.plan.Steps {
		for _, id := range p.plan.Steps[i].Out {
			if id != ir.None && p.plan.Steps[i].Phase == ir.Setup && p.at[id] == at {
				return true
			}
		}
	}
	return false
}

// biasGrad is a ConvGradWeights whose dw nobody reads.
func (p *program) biasGrad(i int, s *ir.Step, y ir.Shape) error {
	k := C.dsl_kernel{kind: C.DSL_CHANNEL_SUM, n: C.int32_t(y[0]), h: C.int32_t(y[1]), w: C.int32_t(y[2]), c: C.int32_t(y[3]), lanes: 1}
	if l := lanes(); int64(y[3]) >= l {
		k.lanes = C.int32_t(l)
	}
	k.in[0], k.out[0] = p.at[s.In[1]], p.out(s.Out[1])
	return p.kernel(i, s, &k)
}

func (p *program) linear(i int, s *ir.Step) error {
	shape := func(k int) ir.Shape { return p.plan.Tensors[s.In[k]].Shape }
	a, b := shape(0), shape(1)
	g := C.dsl_gemm{section: C.int32_t(s.Phase), step: C.int32_t(i), out: (*C.float)(p.out(s.Out[0]))}
	first, second := (*C.float)(p.at[s.In[0]]), (*C.float)(p.at[s.In[1]])
	switch s.Kind {
	case ir.Linear: // b in every row, then + v·wᵀ
		fill := C.dsl_kernel{kind: C.DSL_FILL_ROWS, n: C.int32_t(a[0]), c: C.int32_t(b[0])}
		fill.in[0], fill.out[0] = p.at[s.In[2]], p.at[s.Out[0]]
		if err := p.kernel(i, s, &fill); err != nil {
			return err
		}
		g.a, g.b, g.transpose_b, g.beta = first, second, 1, 1
		g.rows, g.cols, g.inner = C.int32_t(a[0]), C.int32_t(b[0]), C.int32_t(a[1])
	case ir.LinearGradData: // de·w
		g.a, g.b = second, first
		g.rows, g.cols, g.inner = C.int32_t(b[0]), C.int32_t(a[1]), C.int32_t(a[0])
	case ir.LinearGradWeights: // deᵀ·v, and the sum of de's rows
		if s.Out[1] != ir.None {
			sum := C.dsl_kernel{kind: C.DSL_COLUMN_SUM, n: C.int32_t(b[0]), c: C.int32_t(b[1])}
			sum.in[0], sum.out[0] = p.at[s.In[1]], p.at[s.Out[1]]
			if err := p.kernel(i, s, &sum); err != nil {
				return err
			}
		}
		if s.Out[0] == ir.None {
			return nil
		}
		g.a, g.b, g.transpose_a = second, first, 1
		g.rows, g.cols, g.inner = C.int32_t(b[1]), C.int32_t(a[1]), C.int32_t(a[0])
	}
	return status(C.dsl_program_gemm(p.c, &g))
}
