// Package graphtest runs programs on the reference backend for tests. It must not know what it is to test: graph, and what is built on it.
package graphtest

import (
	"context"
	"math"
	"testing"

	"libdsl/lib/backend"
	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
	"libdsl/lib/rng"
)

// Result is a program that has run.
type Result struct {
	Steps   int // of the plan
	program backend.Program
	store   backend.Store
	tensors []ir.Tensor
}

// Step runs a training step on goref, forward and backward, and leaves the result open until the test ends. numbers gives the first values of
// parameters, state and inputs by name; inputs of bytes hold Bytes.
func Step(t testing.TB, p *ir.Program, o plan.Options, numbers func(name string, n int) []float32) *Result {
	t.Helper()
	arranged, err := plan.Build(p, o)
	must(t, err)
	var stored []ir.Tensor
	for _, x := range p.Tensors {
		if x.Role == ir.Param || x.Role == ir.State {
			stored = append(stored, x)
		}
	}
	r := &Result{Steps: len(arranged.Steps), tensors: p.Tensors}
	be := goref.Backend{}
	r.store, err = be.NewStore(stored)
	must(t, err)
	t.Cleanup(func() { must(t, r.store.Close()) })
	for _, x := range stored {
		must(t, r.store.Write(x.Name, numbers(x.Name, x.Shape.Count())))
	}
	ex, err := be.NewExecutor(backend.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, ex.Close()) })
	r.program, err = ex.Compile(arranged, r.store)
	must(t, err)
	t.Cleanup(func() { must(t, r.program.Close()) })
	r.feed(t, numbers)
	args := &ir.Args{BNMomentum: 0.1}
	must(t, r.program.Forward(context.Background(), args))
	must(t, r.program.Backward(context.Background(), args))
	return r
}

// feed fills the inputs.
func (r *Result) feed(t testing.TB, numbers func(name string, n int) []float32) {
	t.Helper()
	for _, x := range r.tensors {
		switch {
		case x.Role != ir.Input:
		case x.DType == ir.U8:
			in, err := r.program.Input(x.Name)
			must(t, err)
			copy(in, Bytes(x.Name, len(in)))
		default:
			in, err := r.program.InputF32(x.Name)
			must(t, err)
			copy(in, numbers(x.Name, len(in)))
		}
	}
}

// Output is a tensor that the program gives; the program owns it.
func (r *Result) Output(t testing.TB, name string) []float32 {
	t.Helper()
	out, err := r.program.Output(name)
	must(t, err)
	return out
}

// All are the outputs by name, and the state that the step left.
func (r *Result) All(t testing.TB) map[string][]float32 {
	t.Helper()
	out := map[string][]float32{}
	for _, x := range r.tensors {
		if x.Output {
			out[x.Name] = r.Output(t, x.Name)
		}
		if x.Role == ir.State {
			out[x.Name] = make([]float32, x.Shape.Count())
			must(t, r.store.Read(x.Name, out[x.Name]))
		}
	}
	return out
}

// Bytes are n seeded bytes for the input of that name.
func Bytes(name string, n int) []byte {
	r, out := rng.New(12, name), make([]byte, n)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// Difference is ‖got − want‖ / ‖want‖.
func Difference(got, want []float32) float64 {
	var diff, size float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff += d * d
		size += float64(w) * float64(w)
	}
	return math.Sqrt(diff / size)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
