package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"libdsl/lib/backend/goref"
	"libdsl/lib/ir"
	"libdsl/lib/rng"
)

// lengths are below, at and beyond packs of 16 bytes and blocks of threads.
var lengths = []int{1, 3, 4, 7, 8, 20, 255, 256, 1023, 2048, 5003}

// grids are few threads for many items and many for few.
var grids = []int{1, 3, 64}

func TestPointwise(t *testing.T) {
	for _, c := range []struct {
		kernel   string
		kind     ir.Kind
		attrs    ir.Attrs
		operands int
	}{
		{"add", ir.Add, ir.Attrs{}, 2},
		{"relu", ir.ReLU, ir.Attrs{}, 1},
		{"relu_grad", ir.ReLUGrad, ir.Attrs{}, 2},
		{"relu_grad2", ir.ReLUGrad, ir.Attrs{Residual: true}, 3},
		{"sigmoid", ir.Sigmoid, ir.Attrs{}, 1},
		{"sigmoid_grad", ir.SigmoidGrad, ir.Attrs{}, 2},
	} {
		t.Run(c.kernel, func(t *testing.T) {
			eachType(t, func(t *testing.T, b *bench, e element) {
				for i, n := range lengths {
					var in []goref.Buf
					var args []any
					for range c.operands {
						v := b.normal(e, n)
						in, args = append(in, buf(v, n)), append(args, e.send(b, v))
					}
					want := reference(c.kind, c.attrs, nil, in, ir.Shape{n})[0].F
					y := b.empty(n, e.bytes)
					b.launch(e.kernel(c.kernel), grids[i%len(grids)], 1, append(args, y, n)...)
					near(t, fmt.Sprint(n, " elements"), floats(y), want, e.tol)
				}
			})
		})
	}
}

func TestThePointwiseOutputMayBeAnOperand(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		const n = 1001
		y, dy := b.normal(e, n), b.normal(e, n)
		want := reference(ir.ReLUGrad, ir.Attrs{}, nil, []goref.Buf{buf(y, n), buf(dy, n)}, ir.Shape{n})[0].F
		at := e.send(b, dy)
		b.launch(e.kernel("relu_grad"), 2, 1, e.send(b, y), at, at, n)
		equal(t, "dx in dy's place", floats(at), want)
	})
}

func TestReLUKeepsWhatIsNotANumber(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		x := e.send(b, []float32{-1, 0, 2})
		y := b.empty(3, e.bytes)
		bad := float32(math.NaN())
		x = e.send(b, []float32{bad, -1, 3, bad})
		y = b.empty(4, e.bytes)
		b.launch(e.kernel("relu"), 1, 1, x, y, 4)
		if v := floats(y); v[0] == v[0] || v[1] != 0 || v[2] != 3 || v[3] == v[3] {
			t.Errorf("got %v, want [NaN 0 3 NaN]", v)
		}
	})
}

func TestSigmoidFarFromZero(t *testing.T) {
	b := setUp(t)
	var v []float32
	for x := float32(-120); x <= 120; x += 0.37 {
		v = append(v, x)
	}
	want := reference(ir.Sigmoid, ir.Attrs{}, nil, []goref.Buf{buf(v, len(v))}, ir.Shape{len(v)})[0].F
	y := b.empty(len(v), 4)
	b.launch("sigmoid_f32", 1, 1, upload(b, v), y, len(v))
	for i, g := range floats(y) {
		if d := math.Abs(float64(g - want[i])); !(d <= 4e-7*float64(want[i])+1e-37) {
			t.Errorf("sigmoid(%v): got %v, want %v", v[i], g, want[i])
		}
	}
}

func TestConversion(t *testing.T) {
	eachType(t, func(t *testing.T, b *bench, e element) {
		for i, n := range lengths {
			v := b.normal(f32, n)
			v[0] = 65536.5 // between two bfloat16s
			y, z := b.empty(n, e.bytes), b.empty(n, 4)
			b.launch(e.kernel("from_f32"), grids[i%len(grids)], 1, upload(b, v), y, n)
			equal(t, "from float32", floats(y), e.round(v))
			b.launch(e.kernel("to_f32"), grids[i%len(grids)], 1, y, z, n)
			equal(t, "to float32", floats(z), e.round(v))
		}
	})
}

// Ties go to even, and what is too large becomes infinite.
func TestRoundingToBFloat16(t *testing.T) {
	b := setUp(t)
	var v []float32
	for _, top := range []uint32{0x3f80, 0x3f81, 0xbf80, 0x0001, 0x7f7f, 0x0080} {
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			v = append(v, math.Float32frombits(top<<16|low))
		}
	}
	y := b.empty(len(v), 2)
	b.launch("from_f32_bf16", 1, 1, upload(b, v), y, len(v))
	want := make([]uint16, len(v))
	for i := range v {
		want[i] = toBF16(v[i])
	}
	equal(t, "bits", download[uint16](y), want)
	nan := upload(b, []float32{float32(math.NaN()), float32(math.Inf(-1))})
	b.launch("from_f32_bf16", 1, 1, nan, y, 2)
	if got := floats(y); got[0] == got[0] || !math.IsInf(float64(got[1]), -1) {
		t.Errorf("got %v, want NaN and -Inf", got[:2])
	}
}

func TestDropout(t *testing.T) {
	b := setUp(t)
	key := rng.DropoutKey(3, 17)
	for _, rate := range []float32{0, 0.1, 0.5, 0.999, rng.Counter(key, 5)} { // a draw equal to the rate stays
		const rows, cols = 7, 129
		v := b.normal(f32, rows*cols)
		args := &ir.Args{DropoutKey: key}
		want := reference(ir.Dropout, ir.Attrs{Rate: rate}, args, []goref.Buf{buf(v, rows, cols)}, ir.Shape{rows, cols})[0].F
		y := b.empty(len(v), 4)
		b.launch("dropout", 2, 1, upload(b, v), y, float64(rate), upload(b, words(args)), len(v))
		equal(t, fmt.Sprint("rate ", rate), floats(y), want)
	}
}

// words is the array of step arguments as kernels read it.
func words(a *ir.Args) []uint64 {
	w := make([]uint64, 16)
	correction := func(beta float64) float64 { return 1 / (1 - math.Pow(beta, float64(a.Step))) }
	for i, v := range []float64{a.LR, a.WeightDecay, a.Beta1, a.Beta2, a.AdamEps, correction(a.Beta1), correction(a.Beta2), float64(a.BNMomentum)} {
		w[i] = math.Float64bits(v)
	}
	w[8], w[9] = a.DropoutKey, math.Float64bits(a.RowLR)
	return w
}

func TestNormalize(t *testing.T) {
	attrs := ir.Attrs{Mean: [3]float32{0.485, 0.456, 0.406}, Std: [3]float32{0.229, 0.224, 0.225}}
	eachType(t, func(t *testing.T, b *bench, e element) {
		for _, n := range []int{1, 2, 4, 5, 33, 400} {
			for _, padded := range []int{3, 4, 8, 11, 16} {
				pixels := make([]uint8, 3*n)
				for i := range pixels {
					pixels[i] = uint8(b.random.Uint32())
				}
				ref := reference(ir.Normalize, attrs, nil, []goref.Buf{{Shape: ir.Shape{1, n, 1, 3}, U: pixels}}, ir.Shape{1, n, 1, 3})[0].F
				want := make([]float32, n*padded)
				for i, v := range e.round(ref) {
					want[i/3*padded+i%3] = v
				}
				y := b.empty(n*padded, e.bytes)
				b.launch(e.kernel("normalize"), 2, 1, upload(b, pixels), y, float64(attrs.Mean[0]), float64(attrs.Mean[1]), float64(attrs.Mean[2]),
					float64(attrs.Std[0]), float64(attrs.Std[1]), float64(attrs.Std[2]), n, padded)
				equal(t, fmt.Sprintf("%d pixels in %d channels", n, padded), floats(y), want)
			}
		}
	})
}
