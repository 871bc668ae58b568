package imageio

import "math"

// Resizer resizes with antialiasing and keeps its scratch memory from call to call. It is for one goroutine; the zero
// value is ready.
//
// The filter is a triangle, stretched by the reduction where the picture shrinks, over two passes with 8-bit values
// between them: what Pillow's Image.resize(BILINEAR) does, bit for bit in the tests, and with it torchvision on PIL images.
type Resizer struct {
	columns   columns
	rows      taps
	rowsOnly  []uint8   // after the horizontal pass, [source rows used, out width, 3] with gaps between the rows
	lastRows  []uint8   // a copy of the picture's last rows, with room behind each
	resampler resampler // nil: the fastest
}

// rect is a part of a picture.
type rect struct{ x, y, w, h int }

// span is what taps are for: in source positions resized to out positions, of which those from lo to lo+n are wanted, the
// last one first when mirrored.
type span struct {
	in, out, lo, n int
	mirrored       bool
}

// taps holds, for each output position, where its source pixels begin, how many there are, and their weights.
type taps struct {
	span         span // what the rest was computed for
	from, used   int  // the source positions that any output position needs
	first, count []int32
	weights      []int32 // stride apart; 0 behind the last
	stride       int     // even
	scratch      []float64
}

// source is the range of source positions for output position o, whose centre lies at centre.
func (s *span) source(o int) (centre float64, first, end int) {
	scale := float64(s.in) / float64(s.out)
	support := max(scale, 1)
	centre = (float64(o) + 0.5) * scale
	return centre, max(int(centre-support+0.5), 0), min(int(centre+support+0.5), s.in)
}

// sources is the range of source positions for all that is wanted.
func (s *span) sources() (first, end int) {
	_, first, _ = s.source(s.lo)
	_, _, end = s.source(s.lo + s.n - 1)
	return first, end
}

// set computes the weights, unless they are those of the last call.
// Weight of source i for output o: max(0, 1 − |i + ½ − centre|/s), centre = (o+½)·in/out, s = max(1, in/out), scaled
// to the sum 2^fixedBits. Source: Pillow's resampling.
func (t *taps) set(s span) {
	if t.span == s {
		return
	}
	t.span = s
	first, end := s.sources()
	t.from, t.used = first, end-first
	most := 0
	for i := range s.n {
		_, first, end := s.source(s.lo + i)
		most = max(most, end-first)
	}
	t.stride = (most + 1) / 2 * 2
	t.first, t.count = resized(t.first, s.n), resized(t.count, s.n)
	t.weights = resized(t.weights, s.n*t.stride)
	t.scratch = resized(t.scratch, t.stride)
	clear(t.weights)
	for i := range s.n {
		at := i
		if s.mirrored {
			at = s.n - 1 - i
		}
		t.setOne(at, s.lo+i)
	}
}

// setOne computes the weights of output position o, which come to place at.
func (t *taps) setOne(at, o int) {
	support := max(float64(t.span.in)/float64(t.span.out), 1)
	centre, first, end := t.span.source(o)
	sum := 0.0
	for j := first; j < end; j++ {
		w := max(0, 1-math.Abs((float64(j)+0.5-centre)/support))
		t.scratch[j-first] = w
		sum += w
	}
	t.first[at], t.count[at] = int32(first-t.from), int32(end-first)
	for j, w := range t.scratch[:end-first] {
		t.weights[at*t.stride+j] = int32(math.Round(w / sum * (1 << fixedBits)))
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
	r.columns.set(span{src.w, outW, win.x, win.w, mirrorX})
	r.rows.set(span{src.h, outH, win.y, win.h, mirrorY})
	by := r.resampler
	if by == nil {
		by = fastest
	}
	from := pixels{img.Pix[3*((src.y+r.rows.from)*img.Width+src.x+r.columns.from):], 3 * img.Width}
	n := r.rows.used
	between := pixels{stride: r.columns.room}
	r.rowsOnly = resized(r.rowsOnly, n*between.stride)
	between.bytes = r.rowsOnly
	// A row's last taps reach behind it, into the next row, with a weight of 0. Rows with too little behind them are copied.
	reach, direct := r.columns.reach, 0
	if room := len(from.bytes) - reach; room >= 0 {
		direct = min(room/from.stride+1, n)
	}
	last := pixels{resized(r.lastRows, (n-direct)*reach), reach}
	r.lastRows = last.bytes
	for i := range n - direct {
		copy(last.bytes[i*reach:], from.bytes[(direct+i)*from.stride:][:3*r.columns.used])
	}
	r.columns.horizontal(by, between, from, direct)
	r.columns.horizontal(by, pixels{between.bytes[direct*between.stride:], between.stride}, last, n-direct)
	r.rows.vertical(by, dst, between, 3*win.w)
}
