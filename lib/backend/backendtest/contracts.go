package backendtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"libdsl/lib/backend"
	"libdsl/lib/errs"
	"libdsl/lib/ir"
	"libdsl/lib/plan"
)

// contract is what every backend promises beyond the numbers.
type contract struct {
	name string
	run  func(t *testing.T, b backend.Backend)
}

var contracts = []contract{
	{"a Write between two runs is seen by the second", writeIsSeen},
	{"an update by one program is seen by another on the same store", updateIsShared},
	{"the same program gives the same bits in every session", sameBits},
	{"outputs of Forward survive Backward", outputsSurvive},
	{"a cancelled context changes nothing", cancelledBefore},
	{"a run cancelled at any moment changes all or nothing", cancelledDuring},
	{"masked rows keep their bits", maskedRows},
	{"compiling against an unfit store is an error", unfitStore},
	{"unknown names and wrong lengths are errors", badNames},
	{"closing twice is allowed", closeTwice},
}

func mustOpen(t *testing.T, b backend.Backend, c *testCase) *session {
	t.Helper()
	e := newExecutor(t, b, 3)
	s := open(t, b, e, c, false)
	if s == nil {
		t.Skip("the backend does not support a step of this program")
	}
	t.Cleanup(s.close)
	return s
}

func wantKind(t *testing.T, what string, err error, want errs.Kind) {
	t.Helper()
	if errs.KindOf(err) != want {
		t.Errorf("%s: got %v (%v), want %v", what, errs.KindOf(err), err, want)
	}
}

func writeIsSeen(t *testing.T, b backend.Backend) {
	s := mustOpen(t, b, foldedNet(2, 17))
	s.forward()
	before := s.results()
	for _, name := range []string{"w1", "w2", "g1", "w6"} {
		s.c.each(name, func(v float64) float64 { return v + 0.5 })
		must(t, s.store.Write(name, s.c.floats[name]))
		s.forward()
		want := s.c.results(t, b, s.exec, false, false)
		for _, out := range s.c.forwardOutputs() {
			if got := s.output(out); !slices.Equal(got, want[out]) {
				t.Errorf("after writing %q output %q differs from a new session's", name, out)
			} else if slices.Equal(got, before[out]) {
				t.Errorf("after writing %q output %q did not change", name, out)
			}
		}
	}
}

func updateIsShared(t *testing.T, b backend.Backend) {
	s := mustOpen(t, b, foldedNet(2, 17))
	p, err := plan.Build(&s.c.Program, b.PlanOptions())
	must(t, err)
	other := *s
	other.prog, err = s.exec.Compile(p, s.store)
	must(t, err)
	defer other.prog.Close()
	for id := range s.c.Tensors {
		other.fill(&s.c.Tensors[id])
	}
	other.forward()
	first := other.results()
	s.forward()
	s.backward()
	s.forward()
	other.forward()
	for _, name := range s.c.forwardOutputs() {
		if got := other.output(name); !slices.Equal(got, s.output(name)) || slices.Equal(got, first[name]) {
			t.Errorf("output %q of the second program did not follow the update", name)
		}
	}
}

func sameBits(t *testing.T, b backend.Backend) {
	for _, c := range []*testCase{foldedNet(2, 17), batchNet(3, 15)} {
		var first map[string][]float32
		for range 3 {
			got := mustOpen(t, b, c).trained()
			if first == nil {
				first = got
			}
			for name := range first {
				if !slices.Equal(first[name], got[name]) {
					t.Errorf("%s: %q differs between two equal sessions", c.name, name)
				}
			}
		}
	}
}

func outputsSurvive(t *testing.T, b backend.Backend) {
	s := mustOpen(t, b, foldedNet(2, 17))
	s.forward()
	before := s.results()
	s.backward()
	for _, name := range s.c.forwardOutputs() {
		if !slices.Equal(before[name], s.output(name)) {
			t.Errorf("output %q changed in Backward", name)
		}
	}
}

func (s *session) stored() map[string][]float32 {
	out := map[string][]float32{}
	for _, t := range s.c.stored() {
		out[t.Name] = s.read(t.Name)
	}
	return out
}

// changed lists the stored tensors that differ from before.
func (s *session) changed(before map[string][]float32) (names []string) {
	for name, v := range s.stored() {
		if !slices.Equal(before[name], v) {
			names = append(names, name)
		}
	}
	return names
}

func cancelledBefore(t *testing.T, b backend.Backend) {
	s := mustOpen(t, b, foldedNet(2, 17))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantKind(t, "Forward", s.prog.Forward(ctx, &s.c.args), errs.Cancelled)
	s.forward()
	before := s.stored()
	wantKind(t, "Backward", s.prog.Backward(ctx, &s.c.args), errs.Cancelled)
	if names := s.changed(before); names != nil {
		t.Errorf("a cancelled Backward changed %v", names)
	}
	s.backward()
	if names := s.changed(before); len(names) < 9 {
		t.Errorf("a Backward after a cancelled one changed only %v", names)
	}
}

func cancelledDuring(t *testing.T, b backend.Backend) {
	s := mustOpen(t, b, foldedNet(8, 40))
	for i := range 20 {
		s.forward()
		before := s.stored()
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*50*time.Microsecond)
		err := s.prog.Backward(ctx, &s.c.args)
		cancel()
		names := s.changed(before)
		switch errs.KindOf(err) {
		case errs.OK:
			if len(names) < 9 {
				t.Errorf("a Backward that returned no error changed only %v", names)
			}
		case errs.Cancelled:
			if names != nil {
				t.Errorf("a cancelled Backward changed %v", names)
			}
		default:
			t.Error(err)
		}
	}
}

func maskedRows(t *testing.T, b backend.Backend) {
	c, rows := perRow(5, 20)
	s := mustOpen(t, b, c)
	before := s.stored()
	s.forward()
	s.backward()
	for name, v := range s.stored() {
		per := len(v) / len(rows)
		for r, on := range rows {
			same := slices.Equal(v[r*per:(r+1)*per], before[name][r*per:(r+1)*per])
			if same != (on == 0) {
				t.Errorf("%q row %d with mask %d: unchanged is %v", name, r, on, same)
			}
		}
	}
}

func unfitStore(t *testing.T, b backend.Backend) {
	c := newCase("linear")
	c.outputs(c.one(ir.Linear, ir.Attrs{}, c.input("v", 2, 3), c.weights("w", 6, 3), c.param("b", 6)))
	p, err := plan.Build(&c.Program, b.PlanOptions())
	must(t, err)
	e := newExecutor(t, b, 1)
	w, bias := ir.Tensor{Name: "w", Shape: ir.Shape{6, 3}, Role: ir.Param}, ir.Tensor{Name: "b", Shape: ir.Shape{6}, Role: ir.Param}
	swapped, ints := w, bias
	swapped.Shape, ints.DType = ir.Shape{3, 6}, ir.I32
	for _, unfit := range []struct {
		name    string
		tensors []ir.Tensor
		want    errs.Kind
	}{
		{"nothing in it", nil, errs.NotFound},
		{"a tensor missing", []ir.Tensor{w}, errs.NotFound},
		{"a tensor of another shape and the same size", []ir.Tensor{swapped, bias}, errs.Invalid},
		{"a tensor of another type", []ir.Tensor{w, ints}, errs.Invalid},
	} {
		store, err := b.NewStore(unfit.tensors)
		must(t, err)
		_, err = e.Compile(p, store)
		wantKind(t, unfit.name, err, unfit.want)
		must(t, store.Close())
	}
	_, err = b.NewStore([]ir.Tensor{w, w})
	wantKind(t, "a name twice", err, errs.Invalid)
	_, err = e.Compile(p, foreign{})
	wantKind(t, "a store of another backend", err, errs.Invalid)
}

// foreign is a store that no backend made.
type foreign struct{ backend.Store }

func badNames(t *testing.T, b backend.Backend) {
	c, _ := perRow(5, 20)
	s := mustOpen(t, b, c)
	floats, ints := make([]float32, 100), make([]int32, 5)
	wantKind(t, "Write", s.store.Write("nobody", floats), errs.NotFound)
	wantKind(t, "Read", s.store.Read("nobody", floats), errs.NotFound)
	wantKind(t, "Write too short", s.store.Write("w", floats[:99]), errs.Invalid)
	wantKind(t, "Read too short", s.store.Read("w", floats[:99]), errs.Invalid)
	wantKind(t, "Write of another type", s.store.Write("count", floats[:5]), errs.Invalid)
	wantKind(t, "WriteInts of another type", s.store.WriteInts("w", make([]int32, 100)), errs.Invalid)
	wantKind(t, "ReadInts of another length", s.store.ReadInts("count", ints[:4]), errs.Invalid)
	_, err := s.prog.Input("w")
	wantKind(t, "Input of a parameter", err, errs.NotFound)
	_, err = s.prog.InputF32("nobody")
	wantKind(t, "InputF32", err, errs.NotFound)
	_, err = s.prog.InputF32("rows")
	wantKind(t, "InputF32 of bytes", err, errs.Invalid)
	_, err = s.prog.Output("w")
	wantKind(t, "Output of a parameter", err, errs.NotFound)
	if v, err := s.prog.Input("dw"); err != nil || len(v) != 400 {
		t.Errorf("Input of a float32 tensor: got %d bytes (%v), want 400", len(v), err)
	}
}

func closeTwice(t *testing.T, b backend.Backend) {
	c, _ := perRow(5, 20)
	s := mustOpen(t, b, c)
	s.forward()
	if n := len(s.prog.Kernels()); n != 1 {
		t.Errorf("Kernels names %d kernels, want 1", n)
	}
	for range 2 { // and a third time when the test ends
		s.close()
	}
}
