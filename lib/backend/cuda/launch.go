package cuda

import (
	"math"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/ir"
)

// grid is the number of blocks along x and y.
type grid struct{ x, y int }

// items is the grid of kernels over n items of the precision's type, one pack of 16 bytes per thread.
func (p *program) items(n int) grid {
	perBlock := kernels.Threads * 16 / int(p.ex.elementBytes())
	return grid{max(1, (n+perBlock-1)/perBlock), 1}
}

// rows is the grid of kernels over rows of c channels of the precision's type.
func (p *program) rows(rows, c int) grid {
	x, y := kernels.RowGrid(rows, c, int(p.ex.elementBytes()))
	return grid{x, y}
}

// kernel adds the launch of one of our kernels to a phase. args is asked when the launch is recorded, when the scratch memory has its place.
func (p *program) kernel(ph ir.Phase, name string, g grid, args func() []uint64) error {
	f, err := p.ex.device.module.Function(name)
	if err != nil {
		return err
	}
	p.add(ph, func() error { return f.Launch(p.ex.stream, g.x, g.y, kernels.Threads, 0, args()...) })
	return nil
}

// plain adds a kernel whose name says its type, typed one for the precision's type.
func (p *program) plain(ph ir.Phase, name string, g grid, args ...uint64) error {
	return p.kernel(ph, name, g, func() []uint64 { return args })
}

func (p *program) typed(ph ir.Phase, name string, g grid, args ...uint64) error {
	return p.plain(ph, kernels.Name(name, int(p.ex.elementBytes())), g, args...)
}

// sums adds a pair of kernels: one that reduces the parts of the rows into scratch memory, `values` numbers per part and channel, and one that
// joins the parts. first and last get the address of the parts, last also their number.
func (p *program) sums(ph ir.Phase, name, final string, elementBytes, rows, c, values int, first func(parts uint64) []uint64,
	last func(parts, n uint64) []uint64) error {
	x, y := kernels.RowGrid(rows, c, elementBytes)
	p.need(int64(x) * int64(c) * int64(values) * 4)
	err := p.kernel(ph, kernels.Name(name, elementBytes), grid{x, y}, func() []uint64 { return first(uint64(p.scratch)) })
	if err != nil {
		return err
	}
	return p.kernel(ph, final, grid{kernels.FinalGrid(c), 1}, func() []uint64 { return last(uint64(p.scratch), uint64(x)) })
}

// channelSum adds out[c] = Σ over rows of x.
func (p *program) channelSum(ph ir.Phase, x uint64, elementBytes int, out uint64, rows, c int) error {
	return p.sums(ph, "channel_sum", "channel_sum_final", elementBytes, rows, c, 1,
		func(parts uint64) []uint64 { return []uint64{x, parts, uint64(rows), uint64(c)} },
		func(parts, n uint64) []uint64 { return []uint64{parts, out, n, uint64(c)} })
}

// convert adds a change of type of n elements: kernel "to_f32" or "from_f32".
func (p *program) convert(ph ir.Phase, name string, from, to driver.Ptr, n int) error {
	return p.typed(ph, name, p.items(n), uint64(from), uint64(to), uint64(n))
}

// ptr is the memory of an operand or output, 0 for None.
func (p *program) ptr(id ir.TensorID) uint64 {
	if id == ir.None {
		return 0
	}
	return uint64(p.at[id])
}

// real is a number among a kernel's arguments.
func real(v float32) uint64 { return math.Float64bits(float64(v)) }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func numbers(v ...int) []uint64 {
	out := make([]uint64, len(v))
	for i, n := range v {
		out[i] = uint64(n)
	}
	return out
}

func (p *program) shape(id ir.TensorID) ir.Shape { return p.plan.Tensors[id].Shape }
