package imageio

import "math"

// Resizer resizes with antialiasing and keeps its scratch memory from call to call. It is for one goroutine; the zero
// value is ready.
//
// The filter is a triangle, stretched by the reduction where the picture shrinks, over two passes with 8-bit values
// between them: what Pillow's Image.resize(BILINEAR) does, bit for bit in the tests, and with it torchvision on PIL images.
type Resizer struct {
	columns, rows taps
	rowsOnly      []uint8   // after the horizontal pass, [source rows used, out width, 3] with gaps between the rows
	lastRows      []uint8   // a copy of the picture's last rows, with room behind each
	resampler     resampler // nil: the fastest
}

// rect is a part of a picture.
type rect struct{ x, y, w, h int }

// taps holds, for each output position, where its source pixels begin, how many there are, and their weights.
type taps struct {
	first, count []int32
	weights      []int32 // stride apart; 0 behind the last
	stride       int     // a multiple of tapGroup
	end          int     // the largest first + stride
	scratch      []float64
}

// set computes the weights that resize in source positions to out positions, for the out positions lo to lo+n, the last
// one first when mirrored.
// Weight of source i for output o: max(0, 1 − |i + ½ − centre|/s), centre = (o+½)·in/out, s = max(1, in/out), scaled
// to the sum 2^fixedBits. Source: Pillow's resampling.
func (t *taps) set(in, out, lo, n int, mirrored bool) {
	scale := float64(in) / float64(out)
	support := max(scale, 1)
	span := func(i int) (centre float64, first, end int) {
		centre = (float64(lo+i) + 0.5) * scale
		return centre, max(int(centre-support+0.5), 0), min(int(centre+support+0.5), in)
	}
	most := 0
	for i := range n {
		_, first, end := span(i)
		most = max(most, end-first)
	}
	t.stride = (most + tapGroup - 1) / tapGroup * tapGroup
	t.first, t.count = resized(t.first, n), resized(t.count, n)
	t.weights = resized(t.weights, n*t.stride)
	t.scratch = resized(t.scratch, t.stride)
	clear(t.weights)
	t.end = 0
	for i := range n {
		centre, first, end := span(i)
		sum := 0.0
		for j := first; j < end; j++ {
			w := max(0, 1-math.Abs((float64(j)+0.5-centre)/support))
			t.scratch[j-first] = w
			sum += w
		}
		at := i
		if mirrored {
			at = n - 1 - i
		}
		t.first[at], t.count[at] = int32(first), int32(end-first)
		for j, w := range t.scratch[:end-first] {
			t.weights[at*t.stride+j] = int32(math.Round(w / sum * (1 << fixedBits)))
		}
		t.end = max(t.end, first+t.stride)
	}
}

// startAtZero counts the source positions from the first that is used, and says which that was and how many there are.
func (t *taps) startAtZero() (first, n int) {
	from, to := t.first[0], int32(0)
	for o, f := range t.first {
		from, to = min(from, f), max(to, f+t.count[o])
	}
	for o := range t.first {
		t.first[o] -= from
	}
	return int(from), int(to - from)
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
	r.columns.set(src.w, outW, win.x, win.w, mirrorX)
	r.rows.set(src.h, outH, win.y, win.h, mirrorY)
	top, n := r.rows.startAtZero()
	src.y, src.h = src.y+top, n
	by := r.resampler
	if by == nil {
		by = fastest
	}
	between := pixels{stride: 3*win.w + 1}
	r.rowsOnly = resized(r.rowsOnly, n*between.stride)
	between.bytes = r.rowsOnly
	whole := pixels{img.Pix[3*(src.y*img.Width+src.x):], 3 * img.Width}
	reach := 3*r.columns.end + tapOver
	last := pixels{stride: reach}
	// A row's last taps reach behind it, into the next row, with a weight of 0. Rows with too little behind them are copied.
	direct := 0
	if room := len(whole.bytes) - reach; room >= 0 {
		direct = min(room/whole.stride+1, n)
	}
	r.lastRows = resized(r.lastRows, (n-direct)*reach)
	last.bytes = r.lastRows
	for i := direct; i < n; i++ {
		copy(last.bytes[(i-direct)*reach:], whole.bytes[i*whole.stride:][:3*src.w])
	}
	horizontal(by, between, whole, direct, &r.columns)
	horizontal(by, pixels{between.bytes[direct*between.stride:], between.stride}, last, n-direct, &r.columns)
	vertical(by, dst, between, 3*win.w, &r.rows)
}
