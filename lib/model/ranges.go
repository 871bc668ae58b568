package model

import (
	"context"
	"math"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// Ranges are the largest magnitudes that were seen in a network's feature maps, by the names of the weights of the convolutions that compute them. In 8
// bits (precision int8) a map is told apart in steps of its range/255, or range/127 where it has negative values, and what is larger counts as the range.
type Ranges map[string]float32

// maxRange is far above what a network computes; products of scales stay finite below it.
const maxRange = 1e12

// Check reports missing, surplus, negative or huge ranges as a Corrupt error that names the feature map.
func (r Ranges) Check(a Arch) error {
	_, maps, err := featureMaps(a, 1, 32, 32) // any size has the same
	if err != nil {
		return err
	}
	for name := range maps {
		v, ok := r[name]
		if !ok || !(v >= 0) || v > maxRange {
			return errs.New(errs.Corrupt, "model: range of %q: got %v (there: %v), want a number of 0 to %g", name, v, ok, maxRange)
		}
	}
	if len(r) != len(maps) {
		return errs.New(errs.Corrupt, "model: got %d ranges, want %d", len(r), len(maps))
	}
	return nil
}

// featureMaps is the program that embeds, and the tensors in it whose ranges count.
func featureMaps(a Arch, batch, height, width int) (*ir.Program, map[string]ir.TensorID, error) {
	p, err := Program(a, Embed, batch, height, width)
	if err != nil {
		return nil, nil, err
	}
	pl, err := plan.Build(p, plan.Options{})
	if err != nil {
		return nil, nil, err
	}
	return p, plan.FeatureMaps(pl), nil
}

// MeasureRanges embeds n images of InputSize×InputSize pixels and returns the largest magnitude of each feature map. fill is that of Session.Embed. The
// ranges depend on the images alone, up to the rounding of the backend, which must not be one of 8 bits.
// Errors: Invalid for no images; Corrupt for a network whose feature maps are not finite; those of fill; Cancelled, Device.
func (m *Model) MeasureRanges(ctx context.Context, be backend.Backend, o backend.Options, n int, fill func(first, count int, pixels []byte) error) (Ranges, error) {
	if n < 1 {
		return nil, errs.New(errs.Invalid, "model: ranges: got no images, want 1 or more")
	}
	store, err := m.store(be)
	if err != nil {
		return nil, err
	}
	exec, err := be.NewExecutor(o)
	if err != nil {
		return nil, err
	}
	defer exec.Close()
	s := &survey{batch: min(n, surveyBatch), seen: Ranges{}}
	if err := s.compile(m, be, exec, store); err != nil {
		return nil, err
	}
	defer s.prog.Close()
	for first := 0; first < n; first += s.batch {
		if err := s.add(ctx, first, min(s.batch, n-first), fill); err != nil {
			return nil, err
		}
	}
	return s.seen, s.seen.Check(m.Arch)
}

// surveyBatch images are looked at together: their feature maps, all kept, take 0.3 GB in a ResNet-50 of 224 pixels.
const surveyBatch = 4

// survey is a program whose feature maps are all outputs, and the largest magnitudes so far.
type survey struct {
	prog  backend.Program
	batch int
	seen  Ranges
}

// mapOutput names the output of a feature map.
func mapOutput(name string) string { return "map/" + name }

func (s *survey) compile(m *Model, be backend.Backend, exec backend.Executor, store backend.Store) error {
	p, maps, err := featureMaps(m.Arch, s.batch, m.InputSize, m.InputSize)
	if err != nil {
		return err
	}
	for name, id := range maps {
		p.Tensors[id].Output, p.Tensors[id].Name = true, mapOutput(name)
		s.seen[name] = 0
	}
	pl, err := plan.Build(p, be.PlanOptions())
	if err != nil {
		return err
	}
	s.prog, err = exec.Compile(pl, store)
	return err
}

// add looks at images first..first+count-1.
func (s *survey) add(ctx context.Context, first, count int, fill func(first, count int, pixels []byte) error) error {
	pixels, err := s.prog.Input(InPixels)
	if err != nil {
		return err
	}
	if err := fill(first, count, pixels[:len(pixels)/s.batch*count]); err != nil {
		return err
	}
	if err := s.prog.Forward(ctx, &ir.Args{}); err != nil {
		return err
	}
	for name, seen := range s.seen {
		values, err := s.prog.Output(mapOutput(name))
		if err != nil {
			return err
		}
		s.seen[name] = largest(values[:len(values)/s.batch*count], seen)
	}
	return nil
}

// largest is the largest of magnitudes and of a number; NaN counts as infinite.
func largest(values []float32, than float32) float32 {
	for _, v := range values {
		if v < 0 {
			v = -v
		}
		if v > than {
			than = v
		} else if v != v {
			than = float32(math.Inf(1))
		}
	}
	return than
}
