package imageio

import "libdsl/lib/errs"

// Geometry ties a grid that was computed on the whole picture (a heatmap) to the picture's pixels.
type Geometry struct {
	Width, Height int // as displayed
	Orientation   Orientation
}

// Geometry of the picture.
func (m *Image) Geometry() Geometry { return Geometry{m.Width, m.Height, m.Orientation} }

// Stored is the size of the file's own pixel grid.
func (g Geometry) Stored() (width, height int) { return g.Orientation.Stored(g.Width, g.Height) }

// MapToDisplayed spreads grid [gh, gw], which covers the whole displayed picture, bilinearly over its pixels:
// dst is [Height, Width]. Cell (i, j) has its centre at ((j+½)/gw, (i+½)/gh) of the picture (align_corners = False);
// outside the outermost centres the nearest cell's value holds. Values stay within the grid's range.
// Errors: Invalid when a size disagrees.
func (g Geometry) MapToDisplayed(grid []float32, gh, gw int, dst []float32) error {
	return g.spread(grid, gh, gw, dst, Upright)
}

// MapToOriginal is MapToDisplayed into the file's own pixel grid, with the EXIF orientation undone: dst is
// [stored height, stored width]. For a picture without an orientation the two are the same.
func (g Geometry) MapToOriginal(grid []float32, gh, gw int, dst []float32) error {
	return g.spread(grid, gh, gw, dst, g.Orientation)
}

func (g Geometry) spread(grid []float32, gh, gw int, dst []float32, o Orientation) error {
	if gh < 1 || gw < 1 || len(grid) != gh*gw {
		return errs.New(errs.Invalid, "imageio: grid: got %d values for %d×%d, want %d", len(grid), gh, gw, gh*gw)
	}
	if g.Width < 1 || g.Height < 1 || len(dst) != g.Width*g.Height {
		return errs.New(errs.Invalid, "imageio: heatmap: got room for %d values, want %d×%d", len(dst), g.Height, g.Width)
	}
	columns, rows := lerps(g.Width, gw), lerps(g.Height, gh)
	// dst index of displayed (x, y) = first + x·dx + y·dy
	storedWidth, storedHeight := o.Stored(g.Width, g.Height)
	swap, mirrorX, mirrorY := o.axes()
	stepX, stepY, first := 1, storedWidth, 0 // of the stored x and y
	if mirrorX {
		stepX, first = -1, storedWidth-1
	}
	if mirrorY {
		stepY, first = -storedWidth, first+storedWidth*(storedHeight-1)
	}
	dx, dy := stepX, stepY
	if swap {
		dx, dy = stepY, stepX
	}
	for y, r := range rows {
		top, bottom := grid[r.at*gw:][:gw], grid[r.next*gw:][:gw]
		for x, c := range columns {
			a := top[c.at] + (top[c.next]-top[c.at])*c.weight
			b := bottom[c.at] + (bottom[c.next]-bottom[c.at])*c.weight
			dst[first+x*dx+y*dy] = a + (b-a)*r.weight
		}
	}
	return nil
}

// lerp is a position between two cells.
type lerp struct {
	at, next int
	weight   float32 // of next
}

// lerps places the centres of n pixels among cells centres.
func lerps(n, cells int) []lerp {
	out := make([]lerp, n)
	for i := range out {
		pos := (float64(i)+0.5)*float64(cells)/float64(n) - 0.5
		pos = min(max(pos, 0), float64(cells-1))
		at := int(pos)
		out[i] = lerp{at, min(at+1, cells-1), float32(pos - float64(at))}
	}
	return out
}
