// Package backendtest holds every backend against goref, step kind by step kind, on small programs made by hand.
//
// A backend passes when its outputs and its store agree with goref's in the Euclidean norm, relative to goref's; where only data moves
// or masks are drawn they must be equal to the bit.
package backendtest

import (
	"context"
	"fmt"
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// tolerance is the relative error in norm: float32 sums of up to a few thousand terms, each rounding 6e-8.
const tolerance = 2e-6

// Run runs the whole suite. Kinds that the backend reports as Unsupported at Compile are skipped and listed.
func Run(t *testing.T, b backend.Backend) { RunRounded(t, b, 0) }

// RunRounded runs the suite for a backend that keeps feature maps in bfloat16: the inputs are rounded to it beforehand, so that both see the same
// maxima, and results may be so far from goref's, in whole networks five times as far; where they must be equal to the bit, they still must.
func RunRounded(t *testing.T, b backend.Backend, rounding float64) {
	var skipped []string
	single, team := newExecutor(t, b, 1), newExecutor(t, b, 3)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if rounding > 0 {
				c.round(rounding)
			}
			want := c.results(t, goref.Backend{}, newExecutor(t, goref.Backend{}, 1), true, true)
			if !c.agree(t, "not fused, one thread", c.results(t, b, single, true, true), want) ||
				!c.agree(t, "fused, three threads", c.results(t, b, team, false, true), want) {
				skipped = append(skipped, t.Name())
				t.Skip("the backend does not support this step")
			}
		})
	}
	for _, c := range contracts {
		t.Run(c.name, func(t *testing.T) { c.run(t, b) })
	}
	for _, s := range skipped {
		t.Log("skipped as unsupported:", s)
	}
}

// agree reports false when the backend cannot run the program.
func (c *testCase) agree(t *testing.T, how string, got, want map[string][]float32) bool {
	t.Helper()
	for name, w := range want {
		if got == nil {
			return false
		}
		if e := relativeError(got[name], w); !(e <= c.tol) {
			t.Errorf("%s: %q: relative error %.2g, want at most %.2g\n got %v\nwant %v", how, name, e, c.tol, head(got[name]), head(w))
		}
	}
	return true
}

func head(v []float32) string { return fmt.Sprint(v[:min(len(v), 8)]) }

// relativeError is |got − want| / |want| in the Euclidean norm, +Inf for different lengths, and NaN for NaN.
func relativeError(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff += d * d
		norm += float64(w) * float64(w)
	}
	if diff == 0 {
		return 0
	}
	return math.Sqrt(diff / norm)
}

func newExecutor(t *testing.T, b backend.Backend, threads int) backend.Executor {
	t.Helper()
	e, err := b.NewExecutor(backend.Options{Threads: threads})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

// session is a compiled program with its store, on an executor that others may use too.
type session struct {
	t     *testing.T
	exec  backend.Executor
	store backend.Store
	prog  backend.Program
	c     *testCase
}

// open compiles a program and writes its inputs and parameters; nil when the backend does not support it.
func open(t *testing.T, b backend.Backend, e backend.Executor, c *testCase, noFuse bool) *session {
	t.Helper()
	o := b.PlanOptions()
	o.NoFuse, o.Ranges = noFuse, c.ranges
	p, err := plan.Build(&c.Program, o)
	must(t, err)
	s := &session{t: t, c: c, exec: e}
	s.store, err = b.NewStore(c.stored())
	must(t, err)
	s.prog, err = s.exec.Compile(p, s.store)
	if errs.KindOf(err) == errs.Unsupported {
		s.close()
		return nil
	}
	must(t, err)
	for id := range c.Tensors {
		s.fill(&c.Tensors[id])
	}
	return s
}

func (s *session) fill(t *ir.Tensor) {
	s.t.Helper()
	switch {
	case t.Role == ir.Temp:
	case t.Role == ir.Input && t.DType == ir.U8:
		dst, err := s.prog.Input(t.Name)
		must(s.t, err)
		copy(dst, s.c.bytes[t.Name])
	case t.Role == ir.Input:
		dst, err := s.prog.InputF32(t.Name)
		must(s.t, err)
		copy(dst, s.c.floats[t.Name])
	case t.DType == ir.I32:
		must(s.t, s.store.WriteInts(t.Name, s.c.ints[t.Name]))
	default:
		must(s.t, s.store.Write(t.Name, s.c.floats[t.Name]))
	}
}

func (s *session) close() {
	if s.prog != nil {
		must(s.t, s.prog.Close())
	}
	must(s.t, s.store.Close())
}

func (s *session) forward()  { must(s.t, s.prog.Forward(context.Background(), &s.c.args)) }
func (s *session) backward() { must(s.t, s.prog.Backward(context.Background(), &s.c.args)) }

func (s *session) output(name string) []float32 {
	s.t.Helper()
	out, err := s.prog.Output(name)
	must(s.t, err)
	return append([]float32(nil), out...)
}

func (s *session) read(name string) []float32 {
	s.t.Helper()
	id, _ := s.c.Find(name)
	t := &s.c.Tensors[id]
	dst := make([]float32, t.Shape.Count())
	if t.DType == ir.I32 {
		ints := make([]int32, len(dst))
		must(s.t, s.store.ReadInts(name, ints))
		for i, v := range ints {
			dst[i] = float32(v)
		}
		return dst
	}
	must(s.t, s.store.Read(name, dst))
	return dst
}

// results are the outputs and the store as they are now.
func (s *session) results() map[string][]float32 {
	out := s.stored()
	for _, t := range s.c.Tensors {
		if t.Output {
			out[t.Name] = s.output(t.Name)
		}
	}
	return out
}

// trained are the results of one Forward and Backward.
func (s *session) trained() map[string][]float32 {
	s.forward()
	s.backward()
	return s.results()
}

// results are those of a new session after Forward and, if asked for, Backward; nil when the backend does not support the program.
func (c *testCase) results(t *testing.T, b backend.Backend, e backend.Executor, noFuse, backward bool) map[string][]float32 {
	t.Helper()
	s := open(t, b, e, c, noFuse)
	if s == nil {
		return nil
	}
	defer s.close()
	s.forward()
	if backward {
		s.backward()
	}
	return s.results()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// round makes a case fit for a backend that keeps bfloat16.
func (c *testCase) round(rounding float64) {
	switch {
	case len(c.Steps) > fewSteps:
		c.tol = max(c.tol, 5*rounding)
	case c.tol > 0:
		c.tol = max(c.tol, rounding)
	}
	for _, t := range c.Tensors {
		for i, v := range c.floats[t.Name] {
			if t.Role == ir.Input && len(t.Shape) == 4 {
				c.floats[t.Name][i] = math.Float32frombits((math.Float32bits(v) + 0x8000) &^ 0xffff)
			}
		}
	}
}

// fewSteps is the most that a case has that is no network.
const fewSteps = 12
