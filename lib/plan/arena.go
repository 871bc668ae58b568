package plan

import (
	"slices"

	"libdsl/lib/ir"
)

// block is a piece of the arena that one tensor, or a chain of tensors computed in place, holds from step first to step last.
type block struct {
	first, last   int
	bytes, offset int64
}

// place gives every temporary an offset: the longest-known greedy rule, biggest first, each at the lowest place where no block that
// lives at the same time is in the way.
func place(p *Plan, o *Options) {
	blocks, of := lives(p, o)
	order := slices.Clone(blocks)
	slices.SortStableFunc(order, func(a, b *block) int { return int(b.bytes>>6) - int(a.bytes>>6) })
	var placed []*block // by offset
	for _, b := range order {
		for _, q := range placed {
			if q.first <= b.last && b.first <= q.last {
				if b.offset+b.bytes <= q.offset {
					break
				}
				b.offset = max(b.offset, q.offset+q.bytes)
			}
		}
		at, _ := slices.BinarySearchFunc(placed, b.offset, func(q *block, off int64) int {
			if q.offset < off {
				return -1
			}
			return 1
		})
		placed = slices.Insert(placed, at, b)
		p.ArenaBytes = max(p.ArenaBytes, b.offset+b.bytes)
	}
	p.Offset = make([]int64, len(p.Tensors))
	for i := range p.Offset {
		p.Offset[i] = -1
		if of[i] != nil {
			p.Offset[i] = of[i].offset
		}
	}
}

// lives finds the blocks and which block each temporary is in. Outputs and what Setup computes live to the end: the host reads the
// former between runs, and the latter is not computed again in each run.
func lives(p *Plan, o *Options) (blocks []*block, of []*block) {
	last := make([]int, len(p.Tensors))
	for i, s := range p.Steps {
		for _, id := range s.In {
			last[id] = i
		}
	}
	of = make([]*block, len(p.Tensors))
	for i := range p.Steps {
		s := &p.Steps[i]
		for k, id := range s.Out {
			if id == ir.None {
				continue
			}
			t := &p.Tensors[id]
			end := max(last[id], i)
			if t.Output || s.Phase == ir.Setup {
				end = len(p.Steps)
			}
			size := (o.Bytes(s, t) + align - 1) / align * align
			if k == 0 && end != len(p.Steps) {
				if b := inPlace(p, i, o, last, of, size); b != nil {
					b.last = end
					of[id] = b
					continue
				}
			}
			b := &block{first: i, last: end, bytes: size}
			blocks = append(blocks, b)
			of[id] = b
		}
	}
	return blocks, of
}

// inPlace finds the block of an operand that dies in step i and that its first output may overwrite.
func inPlace(p *Plan, i int, o *Options, last []int, of []*block, size int64) *block {
	s := &p.Steps[i]
	for _, k := range overwritable(s, o) {
		id := s.In[k]
		b := of[id]
		if b != nil && last[id] == i && b.last == i && b.bytes == size {
			return b
		}
	}
	return nil
}

// overwritable lists the operands whose memory the output may take, in the order of preference: those of elementwise steps, and a residual.
func overwritable(s *ir.Step, o *Options) []int {
	switch s.Kind {
	case ir.Conv:
		if residual := len(s.In) - 1; o.OverResidual && s.Attrs.Residual && s.In[residual] != s.In[0] {
			return []int{residual}
		}
	case ir.ReLU, ir.Sigmoid, ir.Dropout:
		return []int{0}
	case ir.Add:
		if s.In[0] == s.In[1] {
			return nil
		}
		return []int{0, 1}
	case ir.ReLUGrad:
		if s.Attrs.Residual {
			return []int{1, 2}
		}
		return []int{1}
	case ir.SigmoidGrad:
		return []int{1}
	}
	return nil
}
