// Package plan arranges a program for a backend: it fuses steps, drops dead ones and gives every temporary tensor its place in one
// arena, so that tensors whose lives do not overlap share memory.
//
// It knows no backend: how many bytes a tensor takes is asked through Options. A plan is immutable once built.
package plan

import "libdsl/lib/ir"

// Plan is an arranged program. Offset[t] is the place of Temp tensor t in the arena, and -1 for all others and for temporaries
// that fusion removed. Two tensors at one offset with a common step are that step computed in place. Range[t] is the largest magnitude that
// tensor t takes, as far as Options.Ranges tells, and -1 where it does not.
type Plan struct {
	ir.Program
	Offset     []int64
	ArenaBytes int64
	Range      []float32
}

// Options are what a plan needs to know of its backend.
type Options struct {
	// Bytes is the size in which the backend stores a tensor that a step computes; nil means dense, 0 that the backend finds a place itself.
	Bytes func(maker *ir.Step, t *ir.Tensor) int64
	// OverResidual says that the backend's convolutions may write over their residual.
	OverResidual bool
	// Int8 says that the backend keeps feature maps in 8 bits: it has to know the range of each.
	Int8 bool
	// Ranges are the largest magnitudes of the feature maps by FeatureMaps' names; a network may be built without.
	Ranges map[string]float32
	// NoFuse keeps every step as it was lowered. Tests compare the two.
	NoFuse bool
}

// align is the placing unit of the arena in bytes, a cache line.
const align = 64

// Build validates the program, fuses and prunes it, and places its temporaries. The program is not changed. Errors: Invalid when the backend
// needs the range of a feature map that Options.Ranges does not have.
func Build(p *ir.Program, o Options) (*Plan, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	steps := make([]ir.Step, len(p.Steps))
	for i, s := range p.Steps {
		s.In = append([]ir.TensorID(nil), s.In...)
		s.Out = append([]ir.TensorID(nil), s.Out...)
		steps[i] = s
	}
	out := &Plan{Program: ir.Program{Tensors: p.Tensors, Steps: prune(p.Tensors, steps)}}
	if !o.NoFuse {
		out.Steps = fuse(out.Tensors, out.Steps)
	}
	if err := out.Validate(); err != nil {
		return nil, err
	}
	if err := setRanges(out, &o); err != nil {
		return nil, err
	}
	if o.Bytes == nil {
		o.Bytes = func(_ *ir.Step, t *ir.Tensor) int64 { return Dense(t) }
	}
	place(out, &o)
	return out, nil
}

// Dense is the size of a tensor without any padding, in bytes.
func Dense(t *ir.Tensor) int64 { return int64(t.Shape.Count()) * int64(t.DType.Size()) }

// prune drops steps whose outputs nobody reads and marks single unread outputs None.
func prune(tensors []ir.Tensor, steps []ir.Step) []ir.Step {
	read := make([]bool, len(tensors))
	keep := make([]bool, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		s := &steps[i]
		keep[i] = s.Phase == ir.Update
		for k, id := range s.Out {
			switch {
			case id == ir.None:
			case read[id] || tensors[id].Output:
				keep[i] = true
			default:
				s.Out[k] = ir.None
			}
		}
		if keep[i] {
			for _, id := range s.In {
				read[id] = true
			}
		}
	}
	kept := steps[:0]
	for i, s := range steps {
		if keep[i] {
			kept = append(kept, s)
		}
	}
	return kept
}
