package cuda

import (
	"slices"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// compile runs on the executor's thread.
func (p *program) compile() error {
	p.ex.open[p] = struct{}{}
	if _, err := p.store.settle(nil); err != nil {
		return err
	}
	if err := p.place(); err != nil {
		return err
	}
	if err := p.begin(); err != nil {
		return err
	}
	for i := range p.plan.Steps {
		if err := p.readInputs(i); err != nil {
			return err
		}
		if err := p.step(i); err != nil {
			return errs.Wrap(errs.KindOf(err), err, "cuda: step %d %v", i, p.plan.Steps[i].Kind)
		}
		if err := p.writeOutputs(i); err != nil {
			return err
		}
	}
	if err := p.updateAll(); err != nil {
		return err
	}
	if err := p.stopTuning(); err != nil {
		return err
	}
	return p.capture()
}

// begin makes what every program has.
func (p *program) begin() error {
	host, err := p.pin(numArgs * 8)
	if err != nil {
		return err
	}
	p.args = (*[numArgs]uint64)(host)
	if p.argsAt, err = p.alloc(numArgs * 8); err != nil {
		return err
	}
	if p.consumed, err = driver.NewEvent(); err != nil {
		return err
	}
	p.done, err = driver.NewEvent()
	return err
}

// place finds the memory of every tensor but inputs in the precision's type, which readInputs makes.
func (p *program) place() error {
	p.storedChannels()
	p.keptTypes()
	arena, err := p.alloc(p.plan.ArenaBytes)
	if err != nil {
		return err
	}
	for i := range p.plan.Tensors {
		t := &p.plan.Tensors[i]
		switch {
		case t.Role == ir.Param || t.Role == ir.State:
			p.at[i], err = p.store.bind(t)
		case t.Role == ir.Input:
			err = p.stage(ir.TensorID(i))
		case p.plan.Offset[i] >= 0:
			p.at[i] = arena + driver.Ptr(p.plan.Offset[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keptTypes finds the tensors that are kept in the precision's type.
func (p *program) keptTypes() {
	for i := range p.plan.Tensors {
		t := &p.plan.Tensors[i]
		p.typedTensor[i] = t.Role == ir.Input && t.DType == ir.F32 && len(t.Shape) == 4
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		for _, id := range s.Out {
			if id == ir.None {
				continue
			}
			p.typedTensor[id] = activation(s.Kind, &p.plan.Tensors[id])
			if s.Kind == ir.Add { // as what it adds
				p.typedTensor[id] = p.typedTensor[s.In[0]]
			}
		}
	}
}

// stage makes the staging memory of an input, and memory of its own on the device, which no step writes. It is copied there before the first phase that
// reads it, as Backward does not run without Forward.
func (p *program) stage(id ir.TensorID) error {
	e := edge{id: id, bytes: plan.Dense(&p.plan.Tensors[id])}
	e.phase, e.ahead = p.reading(id)
	var err error
	if e.ahead && p.sent == nil {
		if p.sent, err = driver.NewEvent(); err != nil {
			return err
		}
	}
	if e.host, err = p.pin(e.bytes); err != nil {
		return err
	}
	if e.at, err = p.alloc(e.bytes); err != nil {
		return err
	}
	p.staging = append(p.staging, e)
	p.at[id] = e.at
	return nil
}

// reading is the phase that is the first to read an input, and whether no other phase does and it may be copied ahead: it is Forward, and others follow.
func (p *program) reading(id ir.TensorID) (first ir.Phase, ahead bool) {
	first, last, end := ir.Update, ir.Setup, ir.Setup
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if slices.Contains(s.In, id) {
			first, last = min(first, s.Phase), max(last, s.Phase)
		}
		end = max(end, s.Phase)
	}
	return min(max(first, ir.Forward), ir.Backward), first == ir.Forward && last == ir.Forward && end > ir.Forward
}

// storedChannels finds the images that are stored with more channels than they have: those that only convolutions read, whose weights nobody else reads.
func (p *program) storedChannels() {
	for i := range p.plan.Tensors {
		if s := p.plan.Tensors[i].Shape; len(s) == 4 {
			p.channels[i] = s[3]
		}
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if s.Kind != ir.Normalize || p.ex.padded(3) == 3 {
			continue
		}
		if weights, ok := p.onlyConvolved(s.Out[0]); ok {
			p.channels[s.Out[0]] = imageChannels
			for _, w := range weights {
				p.channels[w] = imageChannels
			}
		}
	}
}

// onlyConvolved lists the computed weights of the convolutions that read an image, if nobody else reads either.
func (p *program) onlyConvolved(image ir.TensorID) (weights []ir.TensorID, ok bool) {
	if p.plan.Tensors[image].Output {
		return nil, false
	}
	for i := range p.plan.Steps {
		s := &p.plan.Steps[i]
		if !slices.Contains(s.In, image) {
			continue
		}
		if s.Kind == ir.Conv && s.In[0] == image {
			w := s.In[1]
			if t := &p.plan.Tensors[w]; t.Role == ir.Temp && (t.Output || p.readers(w) > 1) || t.Role == ir.Input {
				return nil, false
			}
			if p.plan.Tensors[w].Role == ir.Temp {
				weights = append(weights, w)
			}
		} else if s.Kind != ir.ConvGradWeights || s.In[0] != image {
			return nil, false
		}
	}
	return weights, true
}

// readers counts the operands that read a tensor.
func (p *program) readers(id ir.TensorID) int {
	n := 0
	for i := range p.plan.Steps {
		for _, in := range p.plan.Steps[i].In {
			if in == id {
				n++
			}
		}
	}
	return n
}

// readInputs converts float32 inputs that a step is the first to read of, where feature maps are kept in another type.
func (p *program) readInputs(i int) error {
	s := &p.plan.Steps[i]
	for _, id := range s.In {
		t := &p.plan.Tensors[id]
		if t.Role != ir.Input || t.DType != ir.F32 || len(t.Shape) != 4 || p.ex.elementBytes() == 4 {
			continue
		}
		e, err := find(p.staging, id)
		if err != nil {
			return err
		}
		if p.at[id] != e.at {
			continue
		}
		if p.at[id], err = p.alloc(e.bytes); err != nil {
			return err
		}
		if err := p.convert(e.phase, "from_f32", e.at, p.at[id], t.Shape.Count()); err != nil {
			return err
		}
	}
	return nil
}

// writeOutputs makes the host's side of the outputs of a step.
func (p *program) writeOutputs(i int) error {
	s := &p.plan.Steps[i]
	for _, id := range s.Out {
		if id == ir.None || !p.plan.Tensors[id].Output {
			continue
		}
		t := &p.plan.Tensors[id]
		if t.DType != ir.F32 {
			return errs.New(errs.Unsupported, "cuda: output %q: only float32 tensors can be read", t.Name)
		}
		e := edge{id: id, phase: min(max(s.Phase, ir.Forward), ir.Backward), at: p.at[id], bytes: plan.Dense(t)}
		var err error
		if e.host, err = p.pin(e.bytes); err != nil {
			return err
		}
		if p.typedTensor[id] && p.ex.elementBytes() != 4 {
			if e.at, err = p.alloc(e.bytes); err != nil {
				return err
			}
			if err := p.convert(e.phase, "to_f32", p.at[id], e.at, t.Shape.Count()); err != nil {
				return err
			}
		}
		p.results = append(p.results, e)
	}
	return nil
}

// add appends an operation to a phase.
func (p *program) add(ph ir.Phase, o op) { p.phases[ph].ops = append(p.phases[ph].ops, o) }

// need makes sure that the scratch memory, which every operation may use while it runs, has so many bytes.
func (p *program) need(bytes int64) { p.most = max(p.most, bytes) }

// capture makes graphs of the phases' operations.
func (p *program) capture() error {
	var err error
	if p.scratch, err = p.alloc(p.most); err != nil {
		return err
	}
	for i := range p.phases {
		ph := &p.phases[i]
		if len(ph.ops) == 0 {
			continue
		}
		if ph.graph, err = p.record(ph.ops); err != nil {
			return err
		}
		ph.ops = nil
	}
	return nil
}

// captureTries: what others in the process do can spoil a capture; a second one finds them done.
const captureTries = 3

func (p *program) record(ops []op) (g *driver.Graph, err error) {
	p.ex.device.capturing.Lock()
	defer p.ex.device.capturing.Unlock()
	for range captureTries {
		if g, err = p.recordOnce(ops); err == nil {
			return g, nil
		}
	}
	return nil, err
}

func (p *program) recordOnce(ops []op) (g *driver.Graph, err error) {
	if err := p.ex.stream.BeginCapture(); err != nil {
		return nil, err
	}
	var failure error = errs.New(errs.Internal, "cuda: a capture did not come to its end")
	defer func() { // after a panic too
		var ended error
		g, ended = p.ex.stream.EndCapture()
		if failure == nil {
			err = ended
		} else if g != nil {
			g.Close()
			g = nil
		}
	}()
	for _, o := range ops {
		if err := o(); err != nil {
			failure = err
			return nil, err
		}
	}
	failure = nil
	return nil, nil
}
