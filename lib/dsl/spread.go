package dsl

// share is what one pixel gets of one cell of a grid, along one axis.
type share struct {
	pixel, cell int
	weight      float64
}

// shares spreads cells, which cover n pixels, bilinearly over them, so that what a cell gives sums to 1. A cell that
// lies between the pixels' centres goes to the pixel it lies in.
func shares(n, cells int) []share {
	var out []share
	total := make([]float64, cells)
	add := func(pixel, cell int, weight float64) {
		if weight > 0 {
			out = append(out, share{pixel, cell, weight})
			total[cell] += weight
		}
	}
	for p := range n {
		pos := min(max((float64(p)+0.5)*float64(cells)/float64(n)-0.5, 0), float64(cells-1))
		at := int(pos)
		add(p, at, 1-(pos-float64(at)))
		add(p, min(at+1, cells-1), pos-float64(at))
	}
	for c := range total {
		if total[c] == 0 {
			add((2*c+1)*n/(2*cells), c, 1)
		}
	}
	for i := range out {
		out[i].weight /= total[out[i].cell]
	}
	return out
}

// spread carries an additive map [gh, gw] of the whole img to the original's pixels, [stored height, stored width]: the
// values sum to what grid sums to.
func spread(img *Image, grid []float32, gh, gw int, dst []float32) error {
	rows, columns := shares(img.Height, gh), shares(img.Width, gw)
	tall := make([]float64, img.Height*gw) // spread over the rows
	for _, r := range rows {
		for j := range gw {
			tall[r.pixel*gw+j] += r.weight * float64(grid[r.cell*gw+j])
		}
	}
	displayed := make([]float32, img.Height*img.Width)
	line := make([]float64, img.Width)
	for i := range img.Height {
		clear(line)
		for _, c := range columns {
			line[c.pixel] += c.weight * tall[i*gw+c.cell]
		}
		for j, v := range line {
			displayed[i*img.Width+j] = float32(v)
		}
	}
	// a grid with one cell for each pixel: this only undoes the orientation
	return img.Geometry().MapToOriginal(displayed, img.Height, img.Width, dst)
}
