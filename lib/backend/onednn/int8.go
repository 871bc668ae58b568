package onednn

// #include "int8.h"
import "C"

import (
	"unsafe"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// minInt8Channels is the number of input and output channels from which a convolution pays in 8 bits.
const minInt8Channels = 16

// eight says which convolutions of a program compute with 8-bit integers and which feature maps are kept as such.
//
// An integer q stands for q·Range/255, in unsigned bytes, where the map is never negative, else for q·Range/127. Maps lie in NHWC. Those that only such
// convolutions read, as input or residual, are kept in 8 bits; the others stay float32 and get an 8-bit copy for them.
type eight struct {
	conv     []bool // by step
	positive []bool // by tensor: the output of a ReLU, or a maximum of such
	kept     []bool // by tensor
	copies   map[ir.TensorID]unsafe.Pointer
	stem     *stem // nil for none
}

// inStem reports whether step i is part of the stem.
func (e *eight) inStem(i int) bool {
	return e.stem != nil && (i == e.stem.normalize || i == e.stem.conv || i == e.stem.pool)
}

// planInt8 decides what is computed in 8 bits: convolutions of maps that are not negative, with weights that only the store changes, where the
// ranges of input, residual and output are known; and the stem (int8_stem.go), which reads pixels.
func (p *program) planInt8() error {
	n := len(p.plan.Tensors)
	e := &eight{conv: make([]bool, len(p.plan.Steps)), positive: make([]bool, n), kept: make([]bool, n), copies: map[ir.TensorID]unsafe.Pointer{}}
	p.eight = e
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		switch {
		case s.Phase > ir.Forward:
			return errs.New(errs.Unsupported, "onednn: step %d %v: int8 computes forward only", i, s.Kind)
		case s.Kind == ir.Conv:
			e.positive[s.Out[0]] = s.Attrs.ReLU
			e.conv[i] = p.fitsInt8(s)
		case s.Kind == ir.MaxPool:
			e.positive[s.Out[0]] = e.positive[s.In[0]]
		}
	}
	e.stem = p.findStem()
	for i := range p.plan.Steps {
		if e.conv[i] || e.stem != nil && i == e.stem.pool {
			out := p.plan.Steps[i].Out[0]
			e.kept[out] = !p.plan.Tensors[out].Output
		}
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		for k, id := range s.In {
			asInput, asResidual := k == 0 && e.positive[id], s.Attrs.Residual && k == len(s.In)-1
			if !e.conv[i] || !asInput && !asResidual {
				e.kept[id] = false
			}
		}
	}
	if e.stem != nil && !e.kept[p.plan.Steps[e.stem.pool].Out[0]] {
		e.stem = nil
	}
	return nil
}

func (p *program) fitsInt8(s *ir.Step) bool {
	x, w := s.In[0], p.plan.Tensors[s.In[1]].Shape
	known := p.plan.Range[x] >= 0 && p.plan.Range[s.Out[0]] >= 0
	if s.Attrs.Residual {
		known = known && p.plan.Range[s.In[len(s.In)-1]] >= 0
	}
	return known && p.eight.positive[x] && min(w[0], w[3]) >= minInt8Channels && p.constant(p.at[s.In[1]])
}

// floatMap is a float32 map in the layout of activations, or in NHWC.
func floatMap(at unsafe.Pointer, layout C.int32_t) C.dsl_map {
	return C.dsl_map{_type: C.DSL_F32, layout: layout, step: 1, at: at}
}

// int8Map is a tensor in 8 bits at a place. A map that is 0 throughout may have any step.
func (p *program) int8Map(id ir.TensorID, at unsafe.Pointer) C.dsl_map {
	m := C.dsl_map{_type: C.DSL_S8, layout: C.DSL_NHWC, step: C.float(p.plan.Range[id] / 127), at: at}
	if p.eight.positive[id] {
		m._type, m.step = C.DSL_U8, C.float(p.plan.Range[id]/255)
	}
	if m.step < minStep {
		m.step = 1
	}
	return m
}

// minStep is the least step: what is smaller than 255 of it is as good as 0, and its inverse could overflow.
const minStep = 1e-12

// eightBit is a tensor in 8 bits, converted before step i unless it is kept so or an earlier step had it converted.
func (p *program) eightBit(i int, id ir.TensorID) (m C.dsl_map, err error) {
	if p.eight.kept[id] {
		return p.int8Map(id, p.at[id]), nil
	}
	at, ok := p.eight.copies[id]
	if !ok {
		if at, err = p.memory(plan.Dense(&p.plan.Tensors[id])); err != nil {
			return m, err
		}
		p.eight.copies[id] = at
		err = p.convert(i, id, floatMap(p.at[id], C.DSL_ACTIVATION), p.int8Map(id, at))
	}
	return p.int8Map(id, at), err
}

// convert adds a change of a tensor's type or layout to step i.
func (p *program) convert(i int, id ir.TensorID, from, to C.dsl_map) error {
	shape := p.plan.Tensors[id].Shape
	c := C.dsl_convert{section: C.DSL_FORWARD, step: C.int32_t(i), n: C.int32_t(shape[0]), h: C.int32_t(shape[1]), w: C.int32_t(shape[2]),
		c: C.int32_t(shape[3]), from: from, to: to}
	return status(C.dsl_program_convert(p.c, &c))
}

// int8Conv adds the C steps of a convolution in 8 bits. oneDNN adds to what lies in the output's place: the residual is brought there in its own type,
// or, where the output is float32, as such.
func (p *program) int8Conv(i int, s *ir.Step) error {
	x, y, w := p.plan.Tensors[s.In[0]].Shape, p.plan.Tensors[s.Out[0]].Shape, p.plan.Tensors[s.In[1]].Shape
	c := C.dsl_int8_conv{section: C.DSL_FORWARD, step: C.int32_t(i), flags: flags(s), stride: C.int32_t(s.Attrs.Stride), pad: C.int32_t(s.Attrs.Pad),
		n: C.int32_t(x[0]), h: C.int32_t(x[1]), w: C.int32_t(x[2]), c: C.int32_t(x[3]), oh: C.int32_t(y[1]), ow: C.int32_t(y[2]), k: C.int32_t(y[3]),
		r: C.int32_t(w[1]), weights: (*C.float)(p.at[s.In[1]])}
	if s.Attrs.Bias {
		c.bias = (*C.float)(p.at[s.In[2]])
	}
	var err error
	if c.x, err = p.eightBit(i, s.In[0]); err != nil {
		return err
	}
	kept := p.eight.kept[s.Out[0]]
	if kept {
		c.y = p.int8Map(s.Out[0], p.at[s.Out[0]])
	} else {
		between, err := p.memory(plan.Dense(&p.plan.Tensors[s.Out[0]]))
		if err != nil {
			return err
		}
		c.y = floatMap(between, C.DSL_NHWC)
	}
	if s.Attrs.Residual {
		if c.residual, err = p.int8Residual(i, s.In[len(s.In)-1], c.y); err != nil {
			return err
		}
	}
	if err := status(C.dsl_program_int8_conv(p.c, &c)); err != nil || kept {
		return err
	}
	return p.convert(i, s.Out[0], c.y, floatMap(p.at[s.Out[0]], C.DSL_ACTIVATION))
}

// int8Residual brings the residual to where y will be, and says what lies there then.
func (p *program) int8Residual(i int, id ir.TensorID, y C.dsl_map) (C.dsl_map, error) {
	from, err := p.eightBit(i, id)
	if err != nil {
		return from, err
	}
	to := from
	to.at = y.at
	if y._type == C.DSL_F32 {
		to = y
	}
	if from == to {
		return to, nil
	}
	return to, p.convert(i, id, from, to)
}
