package nvlib

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/cuda/emulated"
	"libdsl/lib/errs"
)

// multiply is what Gemm computes, for matrices whose rows lie ld elements apart.
func multiply(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int) []sum {
	c := make([]sum, m*n)
	at := func(x []float32, ld, row, column int, trans bool) float64 {
		if trans {
			row, column = column, row
		}
		return float64(x[row*ld+column])
	}
	for i := range m {
		for j := range n {
			for l := range k {
				c[i*n+j].add(at(a, lda, i, l, transA) * at(b, ldb, l, j, transB))
			}
		}
	}
	return c
}

// pick is the second number if the condition holds.
func pick(condition bool, otherwise, then int) int {
	if condition {
		return then
	}
	return otherwise
}

func TestMatrixProductsMatchPlainLoops(t *testing.T) {
	g, r := newGPU(t), newRand()
	ok(t, g.handles.SetWorkspace(g.alloc(4<<20), 4<<20))
	for _, s := range [][3]int{{1, 1, 1}, {5, 3, 7}, {2, 33, 1}, {17, 4, 32}} {
		for bits := range 16 {
			transA, transB, tf32, padded := bits&1 != 0, bits&2 != 0, bits&4 != 0, bits&8 != 0
			m, n, k := s[0], s[1], s[2]
			extra := pick(padded, 0, 3)
			lda, ldb, ldc := pick(transA, k, m)+extra, pick(transB, n, k)+extra, n+extra
			a, b := random(r, F32, pick(transA, m, k)*lda), random(r, F32, pick(transB, k, n)*ldb)
			before := random(r, F32, m*ldc)
			c := g.upload(F32, before)
			ok(t, g.handles.Gemm(transA, transB, m, n, k, g.upload(F32, a), lda, g.upload(F32, b), ldb, c, ldc, tf32))
			got := g.download(c, F32, m*ldc)
			what := fmt.Sprintf("%d×%d×%d transposed %t %t TF32 %t padded %t", m, n, k, transA, transB, tf32, padded)
			rows := make([]float32, 0, m*n)
			for i := range m {
				rows = append(rows, got[i*ldc:i*ldc+n]...)
				for j := n; j < ldc; j++ {
					if got[i*ldc+j] != before[i*ldc+j] {
						t.Errorf("%s: wrote behind row %d", what, i)
					}
				}
			}
			compare(t, what, Conv{TF32: tf32}, rows, multiply(transA, transB, m, n, k, a, lda, b, ldb))
		}
	}
}

func TestTF32IsUsedWhereItIsAllowed(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuBLAS may choose otherwise")
	}
	g := newGPU(t)
	a, b, c := g.upload(F32, []float32{1 + 1.0/4096}), g.upload(F32, []float32{1}), g.alloc(4)
	for tf32, want := range map[bool]float32{false: 1 + 1.0/4096, true: 1} {
		ok(t, g.handles.Gemm(false, false, 1, 1, 1, a, 1, b, 1, c, 1, tf32))
		if got := g.download(c, F32, 1)[0]; got != want {
			t.Errorf("TF32 %t: got %v, want %v", tf32, got, want)
		}
	}
}

func TestAMatrixProductAllocatesNothingAndCanBeCaptured(t *testing.T) {
	g, r := newGPU(t), newRand()
	ok(t, g.handles.SetWorkspace(g.alloc(4<<20), 4<<20))
	const m, n, k = 3, 4, 5
	a, b := random(r, F32, m*k), random(r, F32, k*n)
	at, bt, ct := g.upload(F32, a), g.upload(F32, b), g.alloc(4*m*n)
	gemm := func() { ok(t, g.handles.Gemm(false, false, m, n, k, at, k, bt, n, ct, n, false)) }
	if allocs := testing.AllocsPerRun(50, gemm); allocs != 0 {
		t.Errorf("Gemm allocates %v times, want 0", allocs)
	}
	ok(t, g.stream.BeginCapture())
	gemm()
	graph := value(g.stream.EndCapture())(t)
	for range 2 {
		a = random(r, F32, m*k)
		ok(t, g.stream.Synchronize())
		g.write(at, F32, a)
		ok(t, graph.Launch(g.stream))
		compare(t, "captured", Conv{}, g.download(ct, F32, m*n), multiply(false, false, m, n, k, a, k, b, n))
	}
	ok(t, graph.Close())
}

func TestACaptureNeedsAWorkspace(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real cuBLAS may allocate in a capture")
	}
	g := newGPU(t)
	at := g.alloc(1 << 10)
	ok(t, g.stream.BeginCapture())
	if err := g.handles.Gemm(false, false, 2, 2, 2, at, 2, at+256, 2, at+512, 2, false); errs.KindOf(err) != errs.Device {
		t.Errorf("got %v, want a Device error", err)
	}
	misuse(t, "has no workspace")
	if graph, err := g.stream.EndCapture(); err == nil {
		ok(t, graph.Close())
	}
}

func TestArgumentsThatCannotBeUsedAreInvalid(t *testing.T) {
	g := newGPU(t)
	at := g.alloc(1 << 12)
	for name, f := range map[string]func() error{
		"no rows":                      func() error { return g.handles.Gemm(false, false, 0, 1, 1, at, 1, at, 1, at, 1, false) },
		"rows of A that are too short": func() error { return g.handles.Gemm(false, false, 2, 3, 4, at, 3, at, 3, at, 3, false) },
		"rows of Aᵀ":                   func() error { return g.handles.Gemm(true, false, 2, 3, 4, at, 1, at, 3, at, 3, false) },
		"rows of B":                    func() error { return g.handles.Gemm(false, false, 2, 3, 4, at, 4, at, 2, at, 3, false) },
		"rows of Bᵀ":                   func() error { return g.handles.Gemm(false, true, 2, 3, 4, at, 4, at, 3, at, 3, false) },
		"rows of C":                    func() error { return g.handles.Gemm(false, false, 2, 3, 4, at, 4, at, 3, at, 2, false) },
		"no A":                         func() error { return g.handles.Gemm(false, false, 1, 1, 1, 0, 1, at, 1, at, 1, false) },
		"a size beyond 32 bits":        func() error { return g.handles.Gemm(false, false, 1, 1, 1<<31, at, 1<<31, at, 1, at, 1, false) },
		"no workspace":                 func() error { return g.handles.SetWorkspace(0, 1024) },
		"a workspace at an odd place":  func() error { return g.handles.SetWorkspace(at+16, 1024) },
		"a workspace of no bytes":      func() error { return g.handles.SetWorkspace(at, 0) },
	} {
		if err := f(); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}

func TestHandlesNeedOpenedLibraries(t *testing.T) {
	opened := state.opened
	defer func() { state.opened = opened }()
	state.opened = nil
	if _, err := NewHandles(0); errs.KindOf(err) != errs.Invalid {
		t.Errorf("got %v, want an Invalid error", err)
	}
}

func TestTheLibrariesAreOpenedOnce(t *testing.T) {
	newGPU(t)
	first := value(Open(12040))(t)
	AddDir("/elsewhere")
	if second := value(Open(12040))(t); first != second {
		t.Errorf("got %p, then %p", first, second)
	}
	if first.CUDNN.Path == "" || first.CUDNN.Version == "" || first.CUBLAS.Path == "" || first.CUBLAS.Version == "" || first.CUDA < 12 {
		t.Errorf("got %+v, want paths and versions", first)
	}
}

func TestClosedHandlesAreInvalid(t *testing.T) {
	g := newGPU(t)
	h := value(NewHandles(g.stream.Handle()))(t)
	h.Close()
	h.Close()
	if _, err := h.Plans(shapes[0], 1, 0); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Plans: got %v, want an Invalid error", err)
	}
	if err := h.Gemm(false, false, 1, 1, 1, 16, 1, 16, 1, 16, 1, false); errs.KindOf(err) != errs.Invalid {
		t.Errorf("Gemm: got %v, want an Invalid error", err)
	}
	if err := h.SetWorkspace(256, 256); errs.KindOf(err) != errs.Invalid {
		t.Errorf("SetWorkspace: got %v, want an Invalid error", err)
	}
}

func TestHandlesNeedAContext(t *testing.T) {
	if emulated.Real() {
		t.Skip("DSL_TEST_GPU=1: a real library makes a context by itself")
	}
	g := newGPU(t)
	done := make(chan error)
	go func() { // on another thread, as this one is locked
		_, err := NewHandles(g.stream.Handle())
		done <- err
	}()
	if err := <-done; errs.KindOf(err) != errs.Device {
		t.Errorf("got %v, want a Device error", err)
	}
	misuse(t, "no context is current")
}
