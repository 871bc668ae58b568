package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"libdsl/lib/ir"
)

// replay runs a plan on an arena of cells of 64 bytes. A step writes the tensor's number into the cells of its outputs; before that, each operand
// must find its own number in all of its cells, and at the end, and at a second run without Setup, so must every output and every constant.
func replay(p *Plan, bytes func(*ir.Tensor) int64) error {
	arena := make([]ir.TensorID, (p.ArenaBytes+63)/64)
	for i := range arena {
		arena[i] = -1
	}
	cells := func(id ir.TensorID) ([]ir.TensorID, error) {
		from, to := p.Offset[id]/64, (p.Offset[id]+bytes(&p.Tensors[id])+63)/64
		if p.Offset[id] < 0 || p.Offset[id]%64 != 0 || to > int64(len(arena)) {
			return nil, fmt.Errorf("tensor %d: place %d to %d in an arena of %d", id, p.Offset[id], to*64, p.ArenaBytes)
		}
		return arena[from:to], nil
	}
	holds := func(id ir.TensorID, when string) error {
		if p.Tensors[id].Role != ir.Temp {
			return nil
		}
		mine, err := cells(id)
		for _, c := range mine {
			if c != id {
				return fmt.Errorf("%s: tensor %d was overwritten by %d", when, id, c)
			}
		}
		return err
	}
	for run := range 2 {
		for i, s := range p.Steps {
			if run > 0 && s.Phase == ir.Setup {
				continue
			}
			when := fmt.Sprintf("run %d, step %d %v", run, i, s.Kind)
			for _, id := range s.In {
				if err := holds(id, when); err != nil {
					return err
				}
			}
			if err := apart(p, &s, bytes); err != nil {
				return fmt.Errorf("%s: %w", when, err)
			}
			for _, id := range s.Out {
				if id == ir.None {
					continue
				}
				mine, err := cells(id)
				if err != nil {
					return err
				}
				for k := range mine {
					mine[k] = id
				}
			}
		}
		for id, t := range p.Tensors {
			if t.Output {
				if err := holds(ir.TensorID(id), "the end"); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// elementwise kinds may write where they read, from the same offset on and never elsewhere.
var elementwise = map[ir.Kind]bool{ir.ReLU: true, ir.Sigmoid: true, ir.Dropout: true, ir.Add: true, ir.ReLUGrad: true, ir.SigmoidGrad: true}

// apart checks that the outputs of a step share no memory with each other, nor with its operands unless computed in place.
func apart(p *Plan, s *ir.Step, bytes func(*ir.Tensor) int64) error {
	overlap := func(a, b ir.TensorID) bool {
		return p.Offset[a] < p.Offset[b]+bytes(&p.Tensors[b]) && p.Offset[b] < p.Offset[a]+bytes(&p.Tensors[a])
	}
	for i, o := range s.Out {
		if o == ir.None {
			continue
		}
		for _, other := range s.Out[i+1:] {
			if other != ir.None && overlap(o, other) {
				return fmt.Errorf("outputs %d and %d overlap", o, other)
			}
		}
		for _, in := range s.In {
			if p.Tensors[in].Role != ir.Temp || !overlap(o, in) {
				continue
			}
			residual := s.Kind == ir.Conv && s.Attrs.Residual && in == s.In[len(s.In)-1] && in != s.In[0]
			if !elementwise[s.Kind] && !residual || p.Offset[o] != p.Offset[in] {
				return fmt.Errorf("output %d overlaps operand %d", o, in)
			}
		}
	}
	return nil
}

// random makes a program of elementwise steps, convolutions, max-pools and sums over few shapes, with long and short lives and constants.
func random(t *testing.T, seed uint64) *net {
	r := rand.New(rand.NewPCG(seed, 1))
	n := &net{t: t}
	live := []ir.TensorID{n.leaf("x", ir.Input, 1, 6, 6, 3)}
	w := n.leaf("w", ir.Param, 3, 3, 3, 3)
	g, v := n.leaf("g", ir.Param, 3), n.leaf("v", ir.State, 3)
	weights := []ir.TensorID{w}
	for range 2 {
		weights = append(weights, n.step(ir.ScaleWeights, ir.Attrs{}, ir.Setup, weights[len(weights)-1], g, v)[0])
	}
	pick := func() ir.TensorID { return live[len(live)-1-r.IntN(min(len(live), 6))] }
	for i := range 40 {
		phase := ir.Forward
		if i >= 20 {
			phase = ir.Backward
		}
		a := pick()
		var out ir.TensorID
		switch r.IntN(6) {
		case 0:
			out = n.step(ir.ReLU, ir.Attrs{}, phase, a)[0]
		case 1:
			out = n.step(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, phase, a, weights[r.IntN(3)])[0]
		case 2:
			out = n.step(ir.MaxPool, ir.Attrs{Kernel: 3, Stride: 1, Pad: 1}, phase, a)[0]
		case 3:
			out = n.step(ir.Add, ir.Attrs{}, phase, a, pick())[0]
		case 4:
			out = n.step(ir.ReLUGrad, ir.Attrs{}, phase, a, pick())[0]
		case 5:
			out = n.step(ir.Sigmoid, ir.Attrs{}, phase, a)[0]
		}
		live = append(live, out)
		if r.IntN(8) == 0 {
			n.p.Tensors[out].Output = true
		}
	}
	n.p.Tensors[live[len(live)-1]].Output = true
	return n
}

// padded is a size that is no multiple of 64 and depends on the shape, as a blocked layout's does.
func padded(t *ir.Tensor) int64 { return Dense(t)*2 + 4 }

// ofAnyKind is a size that does not depend on the step.
func ofAnyKind(bytes func(*ir.Tensor) int64) func(*ir.Step, *ir.Tensor) int64 {
	return func(_ *ir.Step, t *ir.Tensor) int64 { return bytes(t) }
}

func TestNoLiveTensorIsOverwritten(t *testing.T) {
	for seed := range uint64(200) {
		for _, o := range []Options{{}, {NoFuse: true}, {Bytes: ofAnyKind(padded), OverResidual: true}} {
			bytes := Dense
			if o.Bytes != nil {
				bytes = padded
			}
			p := random(t, seed).build(o)
			if err := replay(p, bytes); err != nil {
				t.Fatalf("seed %d, NoFuse %v: %v", seed, o.NoFuse, err)
			}
		}
	}
}

func TestTheReplayNoticesAWrongPlace(t *testing.T) {
	one := 0
	for seed := range uint64(50) {
		p := random(t, seed).build(Options{})
		moved := slices.IndexFunc(p.Offset, func(at int64) bool { return at > 0 })
		p.Offset[moved] = 0 // on top of the largest tensor
		if replay(p, Dense) != nil {
			one++
		}
		for id := range p.Offset {
			p.Offset[id] = min(p.Offset[id], 0)
		}
		if replay(p, Dense) == nil {
			t.Errorf("seed %d: all tensors in one place went unnoticed", seed)
		}
	}
	if one < 35 { // the largest tensor may be dead by then
		t.Errorf("one misplaced tensor was noticed %d times of 50, want 35 or more", one)
	}
}

func TestAChainOfElementwiseStepsTakesOnePlace(t *testing.T) {
	n := &net{t: t}
	x := n.leaf("x", ir.Input, 1, 8, 8, 16)
	for range 5 {
		x = n.one(ir.Sigmoid, ir.Attrs{}, x)
	}
	p := n.one(ir.Pool, ir.Attrs{}, x)
	n.out(p)
	plan := n.build(Options{})
	if want := int64(4*8*8*16 + 64); plan.ArenaBytes != want {
		t.Errorf("got an arena of %d bytes, want %d", plan.ArenaBytes, want)
	}
}

func TestDeadTensorsGiveTheirPlaceBack(t *testing.T) {
	n := &net{t: t}
	x, w := n.leaf("x", ir.Input, 1, 8, 8, 16), n.leaf("w", ir.Param, 16, 3, 3, 16)
	for range 10 {
		x = n.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, x, w)
	}
	n.out(x)
	if got, want := n.build(Options{}).ArenaBytes, int64(3*4*8*8*16); got > want { // the output keeps a place of its own
		t.Errorf("got an arena of %d bytes, want at most %d", got, want)
	}
}

func TestOutputsAndConstantsKeepTheirPlace(t *testing.T) {
	n := &net{t: t}
	x, w := n.leaf("x", ir.Input, 1, 8, 8, 3), n.leaf("w", ir.Param, 3, 3, 3, 3)
	g, v := n.leaf("g", ir.Param, 3), n.leaf("v", ir.State, 3)
	scaled := n.step(ir.ScaleWeights, ir.Attrs{}, ir.Setup, w, g, v)[0]
	y := n.one(ir.Conv, ir.Attrs{Stride: 1, Pad: 1}, x, scaled)
	first := n.one(ir.Sigmoid, ir.Attrs{}, y)
	n.p.Tensors[first].Output = true
	n.p.Tensors[first].Name = "first"
	n.out(n.one(ir.Sigmoid, ir.Attrs{}, first))
	p := n.build(Options{})
	for id := range p.Tensors {
		other := ir.TensorID(id)
		for _, keeps := range []ir.TensorID{scaled, first} {
			if other == keeps || p.Offset[other] < 0 {
				continue
			}
			if p.Offset[other] == p.Offset[keeps] && !(keeps == first && other == y) {
				t.Errorf("tensor %d lies on tensor %d", other, keeps)
			}
		}
	}
}
