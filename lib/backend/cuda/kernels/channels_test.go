package kernels_test

import (
	"fmt"
	"testing"

	"libdsl/lib/backend/cuda/kernels"
	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
)

// matrix is rows of c channels, on the grid that the backend takes and on others.
type matrix struct{ rows, c, x, y int }

// matrices have one channel, fewer than a pack, whole packs, packs and a rest, more than a block is wide.
func matrices(e element) []matrix {
	var out []matrix
	for _, s := range []struct{ rows, c int }{{1, 1}, {300, 1}, {77, 3}, {1, 8}, {9, 8}, {500, 8},
		{33, 20}, {1000, 20}, {50, 64}, {11, 257}, {40, 264}, {5, 1000}} {
		x, y := kernels.RowGrid(s.rows, s.c, e.bytes)
		out = append(out, matrix{s.rows, s.c, x, y}, matrix{s.rows, s.c, 1, 1}, matrix{s.rows, s.c, 7, 3})
	}
	return out
}

func (m matrix) String() string { return fmt.Sprintf("%d×%d on %d×%d blocks", m.rows, m.c, m.x, m.y) }

func eachMatrix(t *testing.T, f func(t *testing.T, b *bench, e element, m matrix)) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, m := range matrices(e) {
			f(t, b, e, m)
		}
	})
}

func TestEpilogue(t *testing.T) {
	eachMatrix(t, func(t *testing.T, b *bench, e element, m matrix) {
		n := m.rows * m.c
		for mask := range 8 {
			y, bias, residual := b.normal(e, n), b.normal(f32, m.c), b.normal(e, n)
			at, biasAt, residualAt := e.send(b, y), buffer{}, buffer{}
			want := make([]float32, n)
			for i, v := range y {
				if mask&1 != 0 {
					v += bias[i%m.c]
				}
				if mask&2 != 0 {
					v += residual[i]
				}
				if mask&4 != 0 {
					v = max(0, v)
				}
				want[i] = v
			}
			if mask&1 != 0 {
				biasAt = upload(b, bias)
			}
			if mask&2 != 0 {
				residualAt = e.send(b, residual)
			}
			b.launch(e.kernel("epilogue"), m.x, m.y, at, biasAt, residualAt, mask&4 != 0, m.rows, m.c)
			near(t, fmt.Sprintf("%v, flags %d", m, mask), floats(at), want, e.tol)
		}
	})
}

func TestChannelSum(t *testing.T) {
	eachMatrix(t, func(t *testing.T, b *bench, e element, m matrix) {
		v := b.normal(e, m.rows*m.c)
		want := make([]float64, m.c)
		for i := range v {
			v[i] += 1 // no sum near zero
			v[i] = e.round(v[i : i+1])[0]
			want[i%m.c] += float64(v[i])
		}
		partial, out := b.empty(m.x*m.c, 4), b.empty(m.c, 4)
		b.launch(e.kernel("channel_sum"), m.x, m.y, e.send(b, v), partial, m.rows, m.c)
		b.launch("channel_sum_final", kernels.FinalGrid(m.c), 1, partial, out, m.x, m.c)
		near(t, m.String(), floats(out), narrow(want), 5e-7)
	})
}

func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		out[i] = float32(v[i])
	}
	return out
}

// norm is a BatchNorm on the device: its operands and what it computes from them.
type norm struct {
	b                               *bench
	e                               element
	m                               matrix
	x, y, mean, variance            buffer
	gamma, beta                     buffer
	xs, gammas, betas, means, vars_ []float32
}

const eps = float32(1e-5)

// forward runs statistics and application, and checks them against goref.
func (n *norm) forward(t *testing.T, offset float32, residual, relu bool, tol float64) {
	b, e, m := n.b, n.e, n.m
	n.xs = b.normal(e, m.rows*m.c)
	for i := range n.xs {
		n.xs[i] += offset * float32(i%m.c%3+1)
	}
	n.xs = e.round(n.xs)
	n.gammas, n.betas = b.normal(f32, m.c), b.normal(f32, m.c)
	in := []goref.Buf{buf(n.xs, m.rows, 1, 1, m.c), buf(n.gammas, m.c), buf(n.betas, m.c)}
	more := buffer{}
	if residual {
		r := b.normal(e, m.rows*m.c)
		in, more = append(in, buf(r, m.rows, 1, 1, m.c)), e.send(b, r)
	}
	a := ir.Attrs{Eps: eps, ReLU: relu, Residual: residual}
	want := reference(ir.BatchNorm, a, nil, in, ir.Shape{m.rows, 1, 1, m.c}, ir.Shape{m.c}, ir.Shape{m.c})
	n.x, n.gamma, n.beta = e.send(b, n.xs), upload(b, n.gammas), upload(b, n.betas)
	partial := b.empty(2*m.x*m.c, 4)
	n.mean, n.variance, n.y = b.empty(m.c, 4), b.empty(m.c, 4), b.empty(m.rows*m.c, e.bytes)
	b.launch(e.kernel("batch_norm_stats"), m.x, m.y, n.x, partial, m.rows, m.c)
	b.launch("batch_norm_final", kernels.FinalGrid(m.c), 1, partial, n.mean, n.variance, m.rows, m.x, m.c)
	b.launch(e.kernel("batch_norm_apply"), m.x, m.y, n.x, n.mean, n.variance, n.gamma, n.beta, more, n.y, float64(eps), relu, m.rows, m.c)
	near(t, m.String()+", mean", floats(n.mean), want[1].F, 1e-6)
	near(t, m.String()+", variance", floats(n.variance), want[2].F, tol)
	if m.rows > 1 { // a single row has no variance, and its result is β alone
		near(t, m.String()+", y", floats(n.y), want[0].F, max(e.tol, tol))
	}
}

func TestBatchNorm(t *testing.T) {
	eachMatrix(t, func(t *testing.T, b *bench, e element, m matrix) {
		for mask := range 4 {
			n := &norm{b: b, e: e, m: m}
			n.forward(t, 0.5, mask&1 != 0, mask&2 != 0, 2e-6)
		}
	})
}

// The mean is a hundred deviations away and more: squares are taken around it, not around zero.
func TestBatchNormFarFromZero(t *testing.T) {
	b := setUp(t)
	for _, m := range matrices(f32) {
		if m.rows > 1 && m.c <= 20 {
			n := &norm{b: b, e: f32, m: m}
			n.forward(t, 100, false, false, 3e-5) // the mean is rounded to 6e-8 of 300
		}
	}
}

func TestBatchNormGrad(t *testing.T) {
	eachMatrix(t, func(t *testing.T, b *bench, e element, m matrix) {
		if m.rows < 5 {
			return // terms that cancel to nothing
		}
		for mask := range 2 {
			n := &norm{b: b, e: e, m: m}
			n.forward(t, 0.5, false, mask != 0, 2e-6)
			n.backward(t, mask != 0)
		}
	})
}

func (n *norm) backward(t *testing.T, relu bool) {
	b, e, m := n.b, n.e, n.m
	mean, variance, y, dy := floats(n.mean), floats(n.variance), floats(n.y), b.normal(e, m.rows*m.c)
	for i := range dy {
		dy[i]++ // no sum near zero
	}
	dy = e.round(dy)
	shape := ir.Shape{m.rows, 1, 1, m.c}
	in := []goref.Buf{buf(n.xs, shape...), buf(mean, m.c), buf(variance, m.c), buf(n.gammas, m.c), buf(dy, shape...), buf(y, shape...)}
	want := reference(ir.BatchNormGrad, ir.Attrs{Eps: eps, ReLU: relu}, nil, in, shape, ir.Shape{m.c}, ir.Shape{m.c})
	maskAt, g := buffer{}, e.send(b, dy)
	if relu {
		maskAt = n.y
	}
	partial, dgamma, dbeta, dx := b.empty(2*m.x*m.c, 4), b.empty(m.c, 4), b.empty(m.c, 4), b.empty(m.rows*m.c, e.bytes)
	b.launch(e.kernel("batch_norm_grad_sums"), m.x, m.y, n.x, g, maskAt, n.mean, partial, m.rows, m.c)
	b.launch("batch_norm_grad_final", kernels.FinalGrid(m.c), 1, partial, n.variance, dgamma, dbeta, float64(eps), m.x, m.c)
	b.launch(e.kernel("batch_norm_grad_apply"), m.x, m.y, n.x, g, maskAt, n.mean, n.variance, n.gamma, dgamma, dbeta, dx, float64(eps), m.rows, m.c)
	near(t, m.String()+", dx", floats(dx), want[0].F, max(e.tol, 5e-6))
	near(t, m.String()+", dγ", floats(dgamma), want[1].F, 5e-6)
	near(t, m.String()+", dβ", floats(dbeta), want[2].F, 2e-6)
}

func TestUpdateRunning(t *testing.T) {
	b := setUp(t)
	for _, count := range []int{1, 2, 50} {
		for _, c := range []int{1, 20, 600} {
			mean, variance, rm, rv := b.normal(f32, c), b.positive(c), b.normal(f32, c), b.positive(c)
			args := &ir.Args{BNMomentum: 0.1}
			rmAt, rvAt := upload(b, rm), upload(b, rv)
			b.launch("update_running", 2, 1, upload(b, mean), upload(b, variance), rmAt, rvAt, upload(b, words(args)), count, c)
			reference(ir.UpdateRunning, ir.Attrs{Count: count}, args, []goref.Buf{buf(mean, c), buf(variance, c), buf(rm, c), buf(rv, c)})
			equal(t, "running mean", floats(rmAt), rm)
			equal(t, "running variance", floats(rvAt), rv)
		}
	}
}
