package plan

import (
	"libdsl/lib/errs"
	"libdsl/lib/ir"
)

// FeatureMaps finds what each convolution of the forward pass computes, the residual sum and the ReLU that were fused into it included, by the name
// of the parameter that it convolves with. A frozen BatchNorm may have been folded into that.
func FeatureMaps(p *Plan) map[string]ir.TensorID {
	maps := map[string]ir.TensorID{}
	folded := make(map[ir.TensorID]ir.TensorID) // scaled weights to the parameter
	for i := range p.Steps {
		s := &p.Steps[i]
		switch {
		case s.Kind == ir.ScaleWeights:
			folded[s.Out[0]] = s.In[0]
		case s.Kind == ir.Conv && s.Phase == ir.Forward:
			w := s.In[1]
			if param, ok := folded[w]; ok {
				w = param
			}
			if t := &p.Tensors[w]; t.Role == ir.Param {
				maps[t.Name] = s.Out[0]
			}
		}
	}
	return maps
}

// setRanges fills Range from the ranges of the options. A maximum is one of the values that it is taken of, so MaxPool keeps their range.
func setRanges(p *Plan, o *Options) error {
	p.Range = make([]float32, len(p.Tensors))
	for i := range p.Range {
		p.Range[i] = -1
	}
	for name, id := range FeatureMaps(p) {
		r, ok := o.Ranges[name]
		if ok {
			p.Range[id] = r
		} else if o.Int8 {
			return errs.New(errs.Invalid, "plan: feature map of %q: its range is not known, and the backend keeps it in 8 bits", name)
		}
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Kind == ir.MaxPool {
			p.Range[s.Out[0]] = p.Range[s.In[0]]
		}
	}
	return nil
}
