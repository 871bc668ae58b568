package onednn

// #include "program.h"
import "C"

import (
	"sync/atomic"
	"unsafe"

	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// compile runs on the executor's thread: oneDNN's kernels depend on the size of the team that is current when they are made.
func (p *program) compile() error {
	if err := p.place(); err != nil {
		return err
	}
	if err := p.placeScaled(); err != nil {
		return err
	}
	if p.ex.int8 {
		if err := p.planInt8(); err != nil {
			return err
		}
	}
	if err := status(C.dsl_program_new(p.ex.engine, C.int(len(p.plan.Steps)), &p.c)); err != nil {
		return err
	}
	p.cancel = (*int32)(unsafe.Pointer(C.dsl_program_cancel(p.c)))
	atomic.StoreInt32(p.cancel, 0)
	for i := range p.plan.Steps {
		if err := p.layouts(i); err != nil {
			return err
		}
	}
	if err := p.convertInputs(); err != nil {
		return err
	}
	for i := range p.plan.Steps {
		if p.scaled.late[i] {
			continue
		}
		if err := p.step(i); err != nil {
			return err
		}
	}
	if err := p.convertOutputs(); err != nil {
		return err
	}
	return status(C.dsl_program_finish(p.c))
}

// place finds the memory of every tensor.
func (p *program) place() error {
	arena, err := p.memory(p.plan.ArenaBytes)
	if err != nil {
		return err
	}
	for i := range p.plan.Tensors {
		t := &p.plan.Tensors[i]
		switch {
		case t.Role == ir.Param || t.Role == ir.State:
			p.at[i], err = p.store.bind(t)
		case t.Role == ir.Input:
			p.host[i], err = p.memory(plan.Dense(t))
			if err == nil {
				clear(unsafe.Slice((*byte)(p.host[i]), plan.Dense(t)))
			}
			p.at[i] = p.host[i]
		case p.plan.Offset[i] >= 0:
			p.at[i] = unsafe.Add(arena, p.plan.Offset[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// layouts decides how the outputs of step i lie in memory, and that its operands lie as its kernel reads them.
func (p *program) layouts(i int) error {
	s := &p.plan.Steps[i]
	for k, id := range s.In {
		t := &p.plan.Tensors[id]
		if t.Role == ir.Input && len(t.Shape) == 4 && t.DType == ir.F32 {
			p.layout[id] = activation
		}
		want, ok := wants(s.Kind, k, len(t.Shape))
		if !ok {
			want = p.layout[s.In[0]]
		}
		if p.layout[id] != want || (t.DType == ir.U8 && len(t.Shape) == 4 && (t.Role == ir.Input) != (s.Kind == ir.Normalize)) {
			return errs.New(errs.Unsupported, "onednn: step %d %v: operand %d is not kept in the layout that the step reads", i, s.Kind, k)
		}
	}
	for _, id := range s.Out {
		if id == ir.None || len(p.plan.Tensors[id].Shape) != 4 {
			continue
		}
		switch s.Kind {
		case ir.ScaleWeights, ir.ScaleWeightsGrad, ir.ConvGradWeights:
			p.layout[id] = dense
		case ir.Add, ir.ReLU, ir.ReLUGrad, ir.Sigmoid, ir.SigmoidGrad:
			p.layout[id] = p.layout[s.In[0]]
		default:
			p.layout[id] = activation
		}
	}
	return nil
}

// wants is the layout of operand k of a kind; not ok where any will do that is the same for all operands.
func wants(kind ir.Kind, k, rank int) (l layout, ok bool) {
	switch kind {
	case ir.Add, ir.ReLU, ir.ReLUGrad, ir.Sigmoid, ir.SigmoidGrad:
		return dense, false
	case ir.Normalize, ir.ScaleWeights, ir.ScaleWeightsGrad, ir.Adam:
		return dense, true
	case ir.Conv:
		if k == 1 {
			return dense, true
		}
	case ir.ConvGradData:
		if k == 0 {
			return dense, true
		}
	}
	if rank == 4 {
		return activation, true
	}
	return dense, true
}

// convertInputs gives 4-D float inputs a place in the layout of activations, and converts them before each phase that reads them.
func (p *program) convertInputs() error {
	for id := range p.plan.Tensors {
		t := &p.plan.Tensors[id]
		if t.Role != ir.Input || p.layout[id] != activation {
			continue
		}
		m, err := p.memory(blocked(t))
		if err != nil {
			return err
		}
		p.at[id] = m
		for _, phase := range []ir.Phase{ir.Forward, ir.Backward} {
			first := p.firstReader(ir.TensorID(id), phase)
			if first < 0 {
				continue
			}
			if err := p.reorder(phase, first, t, C.DSL_NHWC, p.host[id], C.DSL_ACTIVATION, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstReader is the first step of a phase that reads a tensor, -1 for none.
func (p *program) firstReader(id ir.TensorID, phase ir.Phase) int {
	for i := range p.plan.Steps {
		if p.plan.Steps[i].Phase != phase {
			continue
		}
		for _, in := range p.plan.Steps[i].In {
			if in == id {
				return i
			}
		}
	}
	return -1
}

// convertOutputs gives outputs that are kept as activations a dense copy, made at the end of the phase that computes them.
func (p *program) convertOutputs() error {
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		for _, id := range s.Out {
			if id == ir.None || !p.plan.Tensors[id].Output {
				continue
			}
			t := &p.plan.Tensors[id]
			if t.DType != ir.F32 {
				return errs.New(errs.Unsupported, "onednn: output %q: only float32 tensors can be read", t.Name)
			}
			if p.layout[id] == dense || t.Shape[3] == 1 {
				p.host[id] = p.at[id]
				continue
			}
			m, err := p.memory(plan.Dense(t))
			if err != nil {
				return err
			}
			p.host[id] = m
			phase := max(s.Phase, ir.Forward)
			if err := p.reorder(phase, i, t, C.DSL_ACTIVATION, p.at[id], C.DSL_NHWC, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) reorder(phase ir.Phase, step int, t *ir.Tensor, from C.int, src unsafe.Pointer, to C.int, dst unsafe.Pointer) error {
	r := C.dsl_reorder{section: C.int32_t(phase), step: C.int32_t(step), from: C.int32_t(from), to: C.int32_t(to), src: src, dst: dst,
		n: C.int32_t(t.Shape[0]), h: C.int32_t(t.Shape[1]), w: C.int32_t(t.Shape[2]), c: C.int32_t(t.Shape[3])}
	return status(C.dsl_program_reorder(p.c, &r))
}
