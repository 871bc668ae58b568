package onednn

import (
	"unsafe"

	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// scaled are the weights that Setup multiplies by their BatchNorm's scale. Where one convolution reads them and nobody else does, it is compiled to pack them
// into a copy right after they are computed, and one buffer does for all of them: of ResNet-50's 40 MB it has 2.
type scaled struct {
	by   map[ir.TensorID]int // the step that computes such a tensor
	late []bool              // by step: it computes such a tensor
}

// scaledInSetup reports whether a step computes weights that change with the store only.
func scaledInSetup(s *ir.Step) bool { return s.Kind == ir.ScaleWeights && s.Phase == ir.Setup }

// placeScaled finds memory for what Setup scales: one buffer for what is packed at once, and behind it the rest.
func (p *program) placeScaled() error {
	p.scaled = scaled{by: map[ir.TensorID]int{}, late: make([]bool, len(p.plan.Steps))}
	var rest []ir.TensorID
	var shared, bytes int64
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if !scaledInSetup(s) {
			continue
		}
		id := s.Out[0]
		if p.packedOnce(id) {
			p.scaled.by[id], p.scaled.late[i] = i, true
			shared = max(shared, p.inLines(id))
		} else {
			rest = append(rest, id)
			bytes += p.inLines(id)
		}
	}
	buffer, err := p.memory(shared + bytes)
	if err != nil {
		return err
	}
	for id := range p.scaled.by {
		p.at[id] = buffer
	}
	for _, id := range rest {
		p.at[id] = unsafe.Add(buffer, shared)
		shared += p.inLines(id)
	}
	return nil
}

// inLines is the bytes of a dense tensor, in whole cache lines.
func (p *program) inLines(id ir.TensorID) int64 {
	return (plan.Dense(&p.plan.Tensors[id]) + cacheLine - 1) / cacheLine * cacheLine
}

// packedOnce reports whether the only reader of a tensor is one convolution, which takes it for its weights.
func (p *program) packedOnce(id ir.TensorID) bool {
	convolutions := 0
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		for k, in := range s.In {
			switch {
			case in != id:
			case s.Kind == ir.Conv && k == 1:
				convolutions++
			default:
				return false
			}
		}
	}
	return convolutions == 1 && !p.plan.Tensors[id].Output
}

// scaleWeights adds the step that scales a convolution's weights, if that was put off.
func (p *program) scaleWeights(conv *ir.Step) error {
	i, ok := p.scaled.by[conv.In[1]]
	if !ok {
		return nil
	}
	return p.step(i)
}
