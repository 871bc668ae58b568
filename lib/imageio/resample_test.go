package imageio

import (
	"bytes"
	"math"
	"syscall"
	"testing"

	"libdsl/lib/rng"
)

// slowly is one pass over the rows of m in plain fixed point: each output pixel of out is the weighted sum of the picture's, rounded to 8 bits.
func slowly(m *Image, out int) *Image {
	to := &Image{Width: out, Height: m.Height, Pix: make([]uint8, 3*out*m.Height)}
	scale := float64(m.Width) / float64(out)
	support := max(scale, 1)
	for o := range out {
		centre := (float64(o) + 0.5) * scale
		from, end := max(int(centre-support+0.5), 0), min(int(centre+support+0.5), m.Width)
		weight := func(i int) float64 { return max(0, 1-math.Abs((float64(i)+0.5-centre)/support)) }
		sum := 0.0
		for i := from; i < end; i++ {
			sum += weight(i)
		}
		for y := range m.Height {
			for c := range 3 {
				v := int64(1 << 21)
				for i := from; i < end; i++ {
					v += int64(math.Round(weight(i)/sum*(1<<22))) * int64(m.Pix[3*(y*m.Width+i)+c])
				}
				to.Pix[3*(y*out+o)+c] = uint8(min(v>>22, 255))
			}
		}
	}
	return to
}

// flipped swaps rows and columns.
func flipped(m *Image) *Image {
	to := &Image{Width: m.Height, Height: m.Width, Pix: make([]uint8, len(m.Pix))}
	for y := range m.Height {
		for x := range m.Width {
			copy(to.Pix[3*(x*m.Height+y):][:3], m.Pix[3*(y*m.Width+x):])
		}
	}
	return to
}

// crop is a part of a picture, mirrored.
func crop(m *Image, p rect, mirrorX, mirrorY bool) *Image {
	to := &Image{Width: p.w, Height: p.h, Pix: make([]uint8, 3*p.w*p.h)}
	for y := range p.h {
		for x := range p.w {
			sx, sy := p.x+x, p.y+y
			if mirrorX {
				sx = p.x + p.w - 1 - x
			}
			if mirrorY {
				sy = p.y + p.h - 1 - y
			}
			copy(to.Pix[3*(y*p.w+x):][:3], m.Pix[3*(sy*m.Width+sx):])
		}
	}
	return to
}

// fenced is memory of n bytes with a page behind it that nobody may touch.
func fenced(t *testing.T, n int) []uint8 {
	t.Helper()
	page := syscall.Getpagesize()
	room := (n + page - 1) / page * page
	all, err := syscall.Mmap(-1, 0, room+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(all) })
	if err := syscall.Mprotect(all[room:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return all[room-n : room : room]
}

func TestEveryInstructionSetGivesTheSameBits(t *testing.T) {
	s := rng.New(1, "resample test")
	sets := 0
	for by := resamplerFor(sets); by != nil; by = resamplerFor(sets) {
		sets++
		r := Resizer{resampler: by}
		for i := range 60 {
			most := []int{6, 40, 300}[i%3]
			m := goldenPicture(1+s.IntN(most), 1+s.IntN(most))
			m.Pix = append(fenced(t, len(m.Pix))[:0], m.Pix...)
			src := rect{s.IntN(m.Width), s.IntN(m.Height), 0, 0}
			src.w, src.h = 1+s.IntN(m.Width-src.x), 1+s.IntN(m.Height-src.y)
			outW, outH := 1+s.IntN(90), 1+s.IntN(90)
			win := rect{s.IntN(outW), s.IntN(outH), 0, 0}
			win.w, win.h = 1+s.IntN(outW-win.x), 1+s.IntN(outH-win.y)
			mx, my := s.IntN(2) == 1, s.IntN(2) == 1
			got := fenced(t, 3*win.w*win.h)
			for range 2 { // the second time with the weights of the first
				clear(got)
				r.resize(got, m, src, outW, outH, win, mx, my)
			}
			want := crop(flipped(slowly(flipped(slowly(crop(m, src, false, false), outW)), outH)), win, mx, my)
			if !bytes.Equal(got, want.Pix) {
				t.Fatalf("instruction set %d: %v of %d×%d to %v of %d×%d differs from the slow loop", sets-1, src, m.Width, m.Height, win, outW, outH)
			}
		}
	}
	if sets == 0 || resamplerFor(0) != fastest {
		t.Error("got no instruction set that is the fastest")
	}
}
