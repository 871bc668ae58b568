package eval

import (
	"context"
	"math"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/internal/par"
	"libdsl/lib/metric"
)

// maskWalk goes through masked pictures.
type maskWalk struct {
	data    *dataset.Dataset
	maps    MapFunc
	threads int
}

// maskCounts is what is left of a picture: its map and the centred disc's, counted.
type maskCounts struct{ values, disc *metric.MapCounts }

// masked are the samples that have a mask.
func (w *maskWalk) masked(indices []int) []int {
	var out []int
	for _, i := range indices {
		if w.data.Samples[i].HasMask() {
			out = append(out, i)
		}
	}
	return out
}

// maskJob is a picture on its way through each.
type maskJob struct {
	img    *imageio.Image
	mask   *imageio.Image
	grid   []float32
	gh, gw int
	counts *maskCounts
	err    error
}

// each visits the samples that have a mask, in order: a few are decoded at a time, mapped one by one, counted together.
func (w *maskWalk) each(ctx context.Context, indices []int, visit func(i int, c *maskCounts)) error {
	left := w.masked(indices)
	jobs := make([]maskJob, w.threads)
	for len(left) > 0 {
		now := left[:min(len(jobs), len(left))]
		left = left[len(now):]
		err := w.parallel(ctx, jobs[:len(now)], func(at int, j *maskJob) {
			if j.img, j.err = w.data.Decode(now[at]); j.err == nil {
				j.mask, j.err = w.data.DecodeMask(now[at])
			}
		})
		if err != nil {
			return err
		}
		for at := range now {
			j := &jobs[at]
			if j.grid, j.gh, j.gw, err = w.maps(ctx, j.img); err != nil {
				return err
			}
		}
		err = w.parallel(ctx, jobs[:len(now)], func(at int, j *maskJob) {
			if j.counts, j.err = j.count(); j.err != nil {
				j.err = errs.Wrap(errs.KindOf(j.err), j.err, "eval: mask of sample %q", w.data.Samples[now[at]].Name)
			}
		})
		if err != nil {
			return err
		}
		for at, i := range now {
			visit(i, jobs[at].counts)
			jobs[at] = maskJob{}
		}
	}
	return nil
}

// parallel does the same to all jobs and gives the first of their errors.
func (w *maskWalk) parallel(ctx context.Context, jobs []maskJob, do func(at int, j *maskJob)) error {
	if err := par.For(ctx, len(jobs), 1, w.threads, func(_, lo, _ int) { do(lo, &jobs[lo]) }); err != nil {
		return err
	}
	for i := range jobs {
		if jobs[i].err != nil {
			return jobs[i].err
		}
	}
	return nil
}

// count compares the map and the disc with the mask, in the mask's own pixels.
func (j *maskJob) count() (*maskCounts, error) {
	inside, width, height, err := storedMask(j.mask)
	if err != nil {
		return nil, err
	}
	iw, ih := j.img.Geometry().Stored()
	if (iw > ih && width < height) || (iw < ih && width > height) {
		return nil, errs.New(errs.Invalid, "eval: mask: got %d×%d pixels for a picture of %d×%d, want it to lie like the picture as its file stores it, before EXIF orientation",
			width, height, iw, ih)
	}
	values := make([]float32, width*height)
	w, h := j.img.Orientation.Stored(width, height)
	g := imageio.Geometry{Width: w, Height: h, Orientation: j.img.Orientation}
	if err := g.MapToOriginal(j.grid, j.gh, j.gw, values); err != nil {
		return nil, err
	}
	var c maskCounts
	if c.values, err = metric.CountMap(values, inside); err != nil {
		return nil, err
	}
	disc(values, width, height)
	c.disc, err = metric.CountMap(values, inside)
	return &c, err
}

// storedMask is what a mask file marks, in the file's own pixel grid.
func storedMask(m *imageio.Image) (inside []bool, width, height int, err error) {
	width, height = m.Geometry().Stored()
	displayed, stored := make([]float32, width*height), make([]float32, width*height)
	for i := range displayed {
		if m.Pix[3*i]|m.Pix[3*i+1]|m.Pix[3*i+2] != 0 {
			displayed[i] = 1
		}
	}
	// a grid with one cell for each pixel: this only undoes the orientation
	if err := m.Geometry().MapToOriginal(displayed, m.Height, m.Width, stored); err != nil {
		return nil, 0, 0, err
	}
	inside = make([]bool, len(stored))
	for i, v := range stored {
		inside[i] = v != 0
	}
	return inside, width, height, nil
}

// disc is a map whose regions above a threshold t are the centred discs of radius 1−t, in halves of the diagonal.
func disc(out []float32, width, height int) {
	half := math.Hypot(float64(width), float64(height)) / 2
	for y := range height {
		dy := float64(y) + 0.5 - float64(height)/2
		for x := range width {
			dx := float64(x) + 0.5 - float64(width)/2
			out[y*width+x] = float32(1 - math.Sqrt(dx*dx+dy*dy)/half)
		}
	}
}
