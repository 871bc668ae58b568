package onednn

// #include "int8.h"
import "C"

import (
	"unsafe"

	"libdsl/lib/ir"
)

// stem is the start of a network that one kernel computes in integers, by steps: normalised pixels, a convolution of them with a ReLU, and the maximum of 3×3 at
// stride 2, kept in 8 bits.
type stem struct{ normalize, conv, pool int }

// findStem finds the steps of a stem, if a program has one. Feature maps between them have one reader each.
func (p *program) findStem() *stem {
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.Kind != ir.MaxPool || s.Attrs.Kernel != 3 || s.Attrs.Stride != 2 || s.Attrs.Pad != 1 || len(s.Out) > 1 && s.Out[1] != ir.None {
			continue
		}
		conv := p.onlyMaker(s.In[0])
		if conv < 0 || !p.fitsStem(&p.plan.Steps[conv]) {
			continue
		}
		normalize := p.onlyMaker(p.plan.Steps[conv].In[0])
		if normalize >= 0 && p.plan.Steps[normalize].Kind == ir.Normalize && withinPixels(p.plan.Steps[normalize].Attrs.Mean) {
			return &stem{normalize, conv, i}
		}
	}
	return nil
}

func (p *program) fitsStem(s *ir.Step) bool {
	if s.Kind != ir.Conv || !s.Attrs.ReLU || s.Attrs.Residual || p.plan.Range[s.Out[0]] < 0 {
		return false
	}
	w := p.plan.Tensors[s.In[1]].Shape
	return w[0]%C.DSL_STEM_CHANNELS == 0 && w[3] == 3 && p.constant(p.at[s.In[1]])
}

// withinPixels reports whether means are values of pixels, so that what is left without them fits into 16 bits.
func withinPixels(means [3]float32) bool {
	for _, m := range means {
		if !(m >= 0 && m <= 1) {
			return false
		}
	}
	return true
}

// onlyMaker is the step that computes a tensor which one step alone reads and nobody outside; -1 where it is not so.
func (p *program) onlyMaker(id ir.TensorID) int {
	maker, readers := -1, 0
	for i := range p.plan.Steps {
		for _, in := range p.plan.Steps[i].In {
			if in == id {
				readers++
			}
		}
		for _, out := range p.plan.Steps[i].Out {
			if out == id {
				maker = i
			}
		}
	}
	if readers != 1 || p.plan.Tensors[id].Output {
		return -1
	}
	return maker
}

// int8Stem adds the C steps of step i of the stem: all is computed by the last.
func (p *program) int8Stem(i int) error {
	f := p.eight.stem
	if i != f.pool {
		return nil
	}
	normalize, conv := &p.plan.Steps[f.normalize], &p.plan.Steps[f.conv]
	if err := p.scaleWeights(conv); err != nil {
		return err
	}
	x, y, out := p.plan.Tensors[normalize.In[0]].Shape, p.plan.Tensors[conv.Out[0]].Shape, p.plan.Steps[i].Out[0]
	s := C.dsl_int8_stem{step: C.int32_t(i), pack_step: C.int32_t(f.conv), weights: (*C.float)(p.at[conv.In[1]]), y_step: p.int8Map(out, nil).step}
	if conv.Attrs.Bias {
		s.bias = (*C.float)(p.at[conv.In[2]])
	}
	s.kernel = C.dsl_kernel{n: C.int32_t(x[0]), h: C.int32_t(x[1]), w: C.int32_t(x[2]), oh: C.int32_t(y[1]), ow: C.int32_t(y[2]), c: C.int32_t(y[3]),
		kernel: C.int32_t(p.plan.Tensors[conv.In[1]].Shape[1]), stride: C.int32_t(conv.Attrs.Stride), pad: C.int32_t(conv.Attrs.Pad)}
	for c := range 3 {
		s.kernel.mean[c], s.kernel.std[c] = C.float(normalize.Attrs.Mean[c]), C.float(normalize.Attrs.Std[c])
	}
	s.kernel.in[0], s.kernel.out[0] = p.at[normalize.In[0]], unsafe.Pointer(p.at[out])
	return status(C.dsl_program_int8_stem(p.c, &s))
}
