package imageio

import "math"

// fixedBits is the precision of the fixed-point weights: 255·2^22 and the rounding fit an int32.
const fixedBits = 22

// Resizer resizes with antialiasing and keeps its scratch memory from call to call. It is for one goroutine; the zero
// value is ready.
//
// The filter is a triangle, stretched by the reduction where the picture shrinks, over two passes with 8-bit values
// between them: what Pillow's Image.resize(BILINEAR) does, bit for bit in the tests, and with it torchvision on PIL images.
type Resizer struct {
	columns, rows taps
	rowsOnly      []uint8 // after the horizontal pass, [source rows used, out width, 3]
	sums          []int32 // one output row
}

// rect is a part of a picture.
type rect struct{ x, y, w, h int }

// taps holds, for each output position, where its source pixels begin, how many there are, and their weights.
type taps struct {
	first, count []int
	weights      []int32 // stride apart
	stride       int
	scratch      []float64
}

// set computes the weights that resize in source positions to out positions, for the out positions lo to lo+n.
// Weight of source i for output o: max(0, 1 − |i + ½ − centre|/s), centre = (o+½)·in/out, s = max(1, in/out), scaled
// to the sum 2^fixedBits. Source: Pillow's resampling.
func (t *taps) set(in, out, lo, n int) {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	t.stride = int(math.Ceil(support))*2 + 1
	t.first, t.count = resized(t.first, n), resized(t.count, n)
	t.weights = resized(t.weights, n*t.stride)
	t.scratch = resized(t.scratch, t.stride)
	for i := range n {
		centre := (float64(lo+i) + 0.5) * scale
		first := max(int(centre-support+0.5), 0)
		end := min(int(centre+support+0.5), in)
		sum := 0.0
		for j := first; j < end; j++ {
			w := max(0, 1-math.Abs((float64(j)+0.5-centre)/support))
			t.scratch[j-first] = w
			sum += w
		}
		t.first[i], t.count[i] = first, end-first
		for j := range end - first {
			t.weights[i*t.stride+j] = int32(math.Round(t.scratch[j] / sum * (1 << fixedBits)))
		}
	}
}

// resized gives s with n elements, keeping its memory when there is enough.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// resize scales the part src of img to outW×outH as if the part were a picture of its own, and writes the window win
// of the result to dst [win.h, win.w, 3], mirrored when asked. Only what the window needs is computed.
func (r *Resizer) resize(dst []uint8, img *Image, src rect, outW, outH int, win rect, mirrorX, mirrorY bool) {
	r.columns.set(src.w, outW, win.x, win.w)
	r.rows.set(src.h, outH, win.y, win.h)
	last := win.h - 1
	top, bottom := r.rows.first[0], r.rows.first[last]+r.rows.count[last]
	r.rowsOnly = resized(r.rowsOnly, (bottom-top)*win.w*3)
	for y := top; y < bottom; y++ {
		row := img.Pix[3*((src.y+y)*img.Width+src.x):][:3*src.w]
		r.horizontal(r.rowsOnly[(y-top)*win.w*3:][:win.w*3], row, mirrorX)
	}
	for o := range win.h {
		at := o
		if mirrorY {
			at = last - o
		}
		r.vertical(dst[at*win.w*3:][:win.w*3], o, top)
	}
}

func (r *Resizer) horizontal(dst, row []uint8, mirror bool) {
	t := &r.columns
	n := len(t.first)
	for o, first := range t.first {
		count := t.count[o]
		weights := t.weights[o*t.stride:][:count]
		pixels := row[3*first:][:3*count]
		const half = 1 << (fixedBits - 1)
		red, green, blue := int32(half), int32(half), int32(half)
		for j, w := range weights {
			p := pixels[3*j:][:3:3]
			red += w * int32(p[0])
			green += w * int32(p[1])
			blue += w * int32(p[2])
		}
		if mirror {
			o = n - 1 - o
		}
		d := dst[3*o:][:3:3]
		d[0], d[1], d[2] = level(red), level(green), level(blue)
	}
}

func (r *Resizer) vertical(dst []uint8, o, top int) {
	t := &r.rows
	r.sums = resized(r.sums, len(dst))
	sums := r.sums
	for i := range sums {
		sums[i] = 1 << (fixedBits - 1)
	}
	for j := range t.count[o] {
		w := t.weights[o*t.stride+j]
		row := r.rowsOnly[(t.first[o]+j-top)*len(dst):][:len(sums)]
		for i, v := range row {
			sums[i] += w * int32(v)
		}
	}
	for i, s := range sums {
		dst[i] = level(s)
	}
}

// level leaves the fixed point; rounded weights can sum to a hair above one.
func level(s int32) uint8 { return uint8(min(s>>fixedBits, 255)) }
