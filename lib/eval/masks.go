package eval

import (
	"context"

	"libdsl/lib/dataset"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
	"libdsl/lib/internal/par"
	"libdsl/lib/metric"
)

// MapFunc gives the map of a whole picture, values in [0, 1] on a grid of gh×gw cells. One goroutine calls it at a time.
type MapFunc func(ctx context.Context, img *imageio.Image) (grid []float32, gh, gw int, err error)

// MaskScore compares a region with a mask, or is the mean over images; both in [0, 1].
type MaskScore struct {
	Dice float64 `json:"dice"`
	IoU  float64 `json:"iou"`
}

func scoreOf(o metric.Overlap) MaskScore { return MaskScore{o.Dice(), o.IoU()} }

// MaskScores are those of a map by the rule that makes a region of it, and of the baselines.
type MaskScores struct {
	Fixed         MaskScore `json:"fixed"`          // threshold 0.5
	Otsu          MaskScore `json:"otsu"`           // the threshold of Otsu for each image
	Best          MaskScore `json:"best"`           // one threshold for all images, the best of the validation images
	AllForeground MaskScore `json:"all_foreground"` // no map: every pixel
	CentreDisc    MaskScore `json:"centre_disc"`    // no map: one centred disc for all images, its radius the best of the validation images
}

func (s *MaskScores) each() [5]*MaskScore {
	return [...]*MaskScore{&s.Fixed, &s.Otsu, &s.Best, &s.AllForeground, &s.CentreDisc}
}

// add adds other's share of a mean over n images.
func (s *MaskScores) add(other *MaskScores, n int) {
	its := other.each()
	for k, mean := range s.each() {
		mean.Dice += its[k].Dice / float64(n)
		mean.IoU += its[k].IoU / float64(n)
	}
}

// MaskedImage are the scores of one image.
type MaskedImage struct {
	Name          string  `json:"name"`           // base name of the file
	Area          float64 `json:"area"`           // share of the mask in the picture, [0, 1]
	OtsuThreshold float64 `json:"otsu_threshold"` // [0, 1]
	MaskScores
	Hit *bool `json:"pointing_hit"` // nil for an empty mask
}

// MaskChoice is what the validation images decided.
type MaskChoice struct {
	NumImages  int     `json:"num_images"`
	Threshold  float64 `json:"threshold"`   // [0, 1]
	Foreground string  `json:"foreground"`  // "above" the threshold, itself included, or "below"
	Dice       float64 `json:"dice"`        // mean of the validation images
	DiscRadius float64 `json:"disc_radius"` // of half the picture's diagonal
	DiscDice   float64 `json:"disc_dice"`

	threshold, disc int
	side            metric.Side
}

// MaskReport holds the scores of maps against masks.
type MaskReport struct {
	NumImages      int           `json:"num_images"`
	NumWithoutMask int           `json:"num_without_mask"` // left out
	NumEmptyMasks  int           `json:"num_empty_masks"`
	Validation     MaskChoice    `json:"validation"`
	Mean           MaskScores    `json:"mean"`
	Pointing       *float64      `json:"pointing_game"` // share of hits over the masks that are not empty; nil without any
	Images         []MaskedImage `json:"images"`
}

// ScoreMasks compares maps of the samples test with their masks. All that can be chosen is chosen on the samples val: for the map the threshold and the
// side of it that is foreground, by mean Dice, and the radius of the centred disc. The side counts for every rule.
//
// A mask is nonzero inside; it covers its picture, may have another size, and lies in the file's own pixel grid like a heatmap, so both are compared
// in the mask's pixels, the map spread bilinearly. Two empty regions have Dice and IoU 1. Thresholds are multiples of 1/256: see metric.MapBins. Memory is
// bounded by threads pictures and a few numbers per image.
//
// Errors: NotFound when val or test has no mask; Invalid for a mask that lies across its picture and for values outside [0, 1]; those of maps and of
// reading files; Cancelled.
func ScoreMasks(ctx context.Context, d *dataset.Dataset, val, test []int, maps MapFunc, threads int) (*MaskReport, error) {
	w := maskWalk{data: d, maps: maps, threads: par.Threads(threads)}
	r := &MaskReport{Images: []MaskedImage{}}
	var err error
	if r.Validation, err = w.choose(ctx, val); err != nil {
		return nil, err
	}
	r.NumImages = len(w.masked(test))
	r.NumWithoutMask = len(test) - r.NumImages
	if r.NumImages == 0 {
		return nil, errs.New(errs.NotFound, "eval: masks: none of the %d images to score has one", len(test))
	}
	hits := 0
	err = w.each(ctx, test, func(i int, c *maskCounts) {
		one := r.Validation.score(d.Samples[i].Name, c)
		r.Images = append(r.Images, one)
		r.Mean.add(&one.MaskScores, r.NumImages)
		if one.Hit == nil {
			r.NumEmptyMasks++
		} else if *one.Hit {
			hits++
		}
	})
	if err != nil {
		return nil, err
	}
	if pointed := r.NumImages - r.NumEmptyMasks; pointed > 0 {
		share := float64(hits) / float64(pointed)
		r.Pointing = &share
	}
	return r, nil
}

// score scores one image by what was chosen.
func (m *MaskChoice) score(name string, c *maskCounts) MaskedImage {
	all, otsu := c.values.Everything(), c.values.Otsu()
	out := MaskedImage{Name: name, Area: float64(all.Mask) / float64(all.Predicted), OtsuThreshold: float64(otsu) / metric.MapBins,
		MaskScores: MaskScores{Fixed: scoreOf(c.values.At(metric.FixedThreshold, m.side)), Otsu: scoreOf(c.values.At(otsu, m.side)),
			Best: scoreOf(c.values.At(m.threshold, m.side)), AllForeground: scoreOf(all), CentreDisc: scoreOf(c.disc.At(m.disc, metric.Above))}}
	if hit, ok := c.values.Points(m.side); ok {
		out.Hit = &hit
	}
	return out
}

func (w *maskWalk) choose(ctx context.Context, val []int) (MaskChoice, error) {
	m := MaskChoice{}
	var search, disc metric.ThresholdSearch
	err := w.each(ctx, val, func(_ int, c *maskCounts) {
		m.NumImages++
		search.Add(c.values)
		disc.Add(c.disc)
	})
	if err != nil {
		return m, err
	}
	if m.NumImages == 0 {
		return m, errs.New(errs.NotFound, "eval: masks: none of the %d validation images has one; a threshold can be chosen on nothing else", len(val))
	}
	m.threshold, m.side, m.Dice = search.Best(metric.Above, metric.Below)
	m.disc, _, m.DiscDice = disc.Best(metric.Above)
	m.Threshold, m.Foreground = float64(m.threshold)/metric.MapBins, m.side.String()
	m.DiscRadius = 1 - float64(m.disc)/metric.MapBins
	return m, nil
}
