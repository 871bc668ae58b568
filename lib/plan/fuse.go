package plan

import "libdsl/lib/ir"

// fuser rewrites a list of steps. A fused step stands where its last part stood, where all its operands are there.
type fuser struct {
	tensors []ir.Tensor
	steps   []ir.Step
	dead    []bool
	maker   []int // step that computes a tensor, -1 for none
	uses    []int // how many operands read it, Output counts as one
}

// fuse joins convolution or BatchNorm with the residual sum and the ReLU behind it, a gradient sum with the ReLU mask behind it, and a
// ReLU mask with the BatchNorm gradient behind it: each saves passes over memory.
func fuse(tensors []ir.Tensor, steps []ir.Step) []ir.Step {
	f := &fuser{tensors: tensors, steps: steps, dead: make([]bool, len(steps)),
		maker: make([]int, len(tensors)), uses: make([]int, len(tensors))}
	f.index()
	f.each(ir.Add, f.residual)
	f.each(ir.ReLU, f.relu)
	f.each(ir.ReLUGrad, f.sumMask)
	f.each(ir.BatchNormGrad, f.maskNorm)
	kept := make([]ir.Step, 0, len(steps))
	for i, s := range f.steps {
		if !f.dead[i] {
			kept = append(kept, s)
		}
	}
	return kept
}

func (f *fuser) index() {
	for i := range f.maker {
		f.maker[i] = -1
		if f.tensors[i].Output {
			f.uses[i]++
		}
	}
	for i, s := range f.steps {
		for _, id := range s.In {
			f.uses[id]++
		}
		for _, id := range s.Out {
			if id != ir.None {
				f.maker[id] = i
			}
		}
	}
}

func (f *fuser) each(kind ir.Kind, try func(i int)) {
	for i := range f.steps {
		if !f.dead[i] && f.steps[i].Kind == kind {
			try(i)
		}
	}
}

// only returns the live step of that kind whose first output is id when nobody else reads id.
func (f *fuser) only(id ir.TensorID, kind ir.Kind) (int, bool) {
	m := f.maker[id]
	if m < 0 || f.dead[m] || f.uses[id] != 1 || f.steps[m].Kind != kind || f.steps[m].Out[0] != id {
		return 0, false
	}
	return m, true
}

// producer finds a convolution or BatchNorm that nothing was fused into behind its ReLU.
func (f *fuser) producer(id ir.TensorID) (int, bool) {
	for _, kind := range []ir.Kind{ir.Conv, ir.BatchNorm} {
		if m, ok := f.only(id, kind); ok && !f.steps[m].Attrs.ReLU {
			return m, true
		}
	}
	return 0, false
}

// into moves step m to the place of step i, which dies there, and makes it compute what step i computed.
func (f *fuser) into(m, i int, s ir.Step) {
	s.Out = append([]ir.TensorID{f.steps[i].Out[0]}, s.Out[1:]...)
	f.steps[i] = s
	f.dead[m] = true
	for _, id := range s.Out {
		if id != ir.None {
			f.maker[id] = i
		}
	}
}

// residual: Add(Conv(…), r) or Add(BatchNorm(…), r), in either order.
func (f *fuser) residual(i int) {
	in := f.steps[i].In
	for k, id := range in {
		m, ok := f.producer(id)
		if !ok || f.steps[m].Attrs.Residual || f.steps[m].Phase != f.steps[i].Phase {
			continue
		}
		s := f.steps[m]
		s.Attrs.Residual = true
		s.In = append(append([]ir.TensorID(nil), s.In...), in[1-k])
		f.into(m, i, s)
		return
	}
}

// relu: ReLU(Conv(…)) or ReLU(BatchNorm(…)), with or without a residual.
func (f *fuser) relu(i int) {
	if m, ok := f.producer(f.steps[i].In[0]); ok && f.steps[m].Phase == f.steps[i].Phase {
		s := f.steps[m]
		s.Attrs.ReLU = true
		f.into(m, i, s)
	}
}

// sumMask: ReLUGrad(y, Add(a, b)).
func (f *fuser) sumMask(i int) {
	s := &f.steps[i]
	if m, ok := f.only(s.In[1], ir.Add); ok && !s.Attrs.Residual {
		sum := f.steps[m].In
		s.In = []ir.TensorID{s.In[0], sum[0], sum[1]}
		s.Attrs.Residual = true
		f.dead[m] = true
	}
}

// maskNorm: BatchNormGrad(x, μ, σ², γ, ReLUGrad(y, dy)).
func (f *fuser) maskNorm(i int) {
	s := &f.steps[i]
	if m, ok := f.only(s.In[4], ir.ReLUGrad); ok && !f.steps[m].Attrs.Residual {
		mask := f.steps[m].In
		s.In = append(append([]ir.TensorID(nil), s.In[:4]...), mask[1], mask[0])
		s.Attrs.ReLU = true
		f.dead[m] = true
	}
}
