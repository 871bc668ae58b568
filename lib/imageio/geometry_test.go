package imageio

import (
	"math"
	"testing"

	"libdsl/lib/errs"
)

// storedAt is where the file keeps displayed pixel (x, y), spelled out case by case from the EXIF table.
func storedAt(o Orientation, storedWidth, storedHeight, x, y int) (int, int) {
	right, bottom := storedWidth-1, storedHeight-1
	switch o {
	case 2:
		return right - x, y
	case 3:
		return right - x, bottom - y
	case 4:
		return x, bottom - y
	case 5:
		return y, x
	case 6:
		return y, bottom - x
	case 7:
		return right - y, bottom - x
	case 8:
		return right - y, x
	}
	return x, y
}

func TestAGradientLandsAtTheRightPlaceInAllOrientations(t *testing.T) {
	const gw, gh = 8, 6
	grid := make([]float32, gw*gh) // value = position of the cell's centre: x in 0…1, plus ten times y
	for i := range gh {
		for j := range gw {
			grid[i*gw+j] = (float32(j)+0.5)/gw + 10*(float32(i)+0.5)/gh
		}
	}
	for o := Orientation(1); o <= 8; o++ {
		g := Geometry{Width: 37, Height: 23, Orientation: o}
		dst := make([]float32, 37*23)
		if err := g.MapToOriginal(grid, gh, gw, dst); err != nil {
			t.Fatal(err)
		}
		sw, sh := g.Stored()
		if (sw == 23) != (o >= 5) {
			t.Fatalf("orientation %d: stored size %d×%d", o, sw, sh)
		}
		for y := range g.Height {
			for x := range g.Width {
				// outside the outermost centres the edge value holds
				px := min(max((float64(x)+0.5)/37, 0.5/gw), 1-0.5/gw)
				py := min(max((float64(y)+0.5)/23, 0.5/gh), 1-0.5/gh)
				sx, sy := storedAt(o, sw, sh, x, y)
				got, want := float64(dst[sy*sw+sx]), px+10*py
				if math.Abs(got-want) > 1e-5 { // float32 of values up to 11
					t.Fatalf("orientation %d, displayed (%d,%d): got %v, want %v", o, x, y, got, want)
				}
			}
		}
	}
}

func TestADeltaPeaksAtItsCellInAllOrientations(t *testing.T) {
	const gw, gh, scale = 5, 3, 9
	for o := Orientation(1); o <= 8; o++ {
		g := Geometry{Width: gw * scale, Height: gh * scale, Orientation: o}
		sw, sh := g.Stored()
		for cell := range gw * gh {
			grid := make([]float32, gw*gh)
			grid[cell] = 1
			dst := make([]float32, g.Width*g.Height)
			if err := g.MapToOriginal(grid, gh, gw, dst); err != nil {
				t.Fatal(err)
			}
			cx, cy := cell%gw*scale+scale/2, cell/gw*scale+scale/2
			x, y := storedAt(o, sw, sh, cx, cy)
			peak := 0
			for i, v := range dst {
				if v > dst[peak] {
					peak = i
				}
				if v < 0 || v > 1 {
					t.Fatalf("value %v leaves the grid's range", v)
				}
			}
			if math.Abs(float64(dst[y*sw+x])-1) > 1e-6 || dst[peak] > dst[y*sw+x] {
				t.Fatalf("orientation %d, cell %d: the peak is at (%d,%d), want (%d,%d)", o, cell, peak%sw, peak/sw, x, y)
			}
		}
	}
}

func TestDisplayedIsOriginalWithoutAnOrientation(t *testing.T) {
	grid, a, b := []float32{1, 2, 3, 4, 5, 6}, make([]float32, 7*4), make([]float32, 7*4)
	turned, upright := Geometry{7, 4, 6}, Geometry{7, 4, Upright}
	if turned.MapToDisplayed(grid, 2, 3, a) != nil || upright.MapToOriginal(grid, 2, 3, b) != nil {
		t.Fatal("failed")
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("pixel %d: got %v and %v", i, a[i], b[i])
		}
	}
}

func TestGeometryRefusesWrongSizes(t *testing.T) {
	g := Geometry{4, 4, Upright}
	for name, err := range map[string]error{
		"no grid":           g.MapToDisplayed(nil, 0, 0, make([]float32, 16)),
		"a short grid":      g.MapToDisplayed(make([]float32, 3), 2, 2, make([]float32, 16)),
		"a negative grid":   g.MapToDisplayed(make([]float32, 4), -2, -2, make([]float32, 16)),
		"a short heatmap":   g.MapToOriginal(make([]float32, 4), 2, 2, make([]float32, 15)),
		"an empty geometry": Geometry{}.MapToOriginal(make([]float32, 4), 2, 2, nil),
	} {
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v, want an Invalid error", name, err)
		}
	}
}
