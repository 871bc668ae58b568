package dataset

import (
	"fmt"
	"math"
	"strings"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// Default shares of HoldOut.
const (
	DefaultValShare  = 0.15
	DefaultTestShare = 0.2
)

// HoldOut gives the data the splits that they lack, by moving training pictures: first a share for the test split if
// it is empty, then a share of what remains for validation if that is empty. Shares are drawn class by class and by
// whole groups, from streams of seed; a share of 0 leaves the split as it is. A class whose pictures form one group stays in
// training.
// Errors: Invalid for a share outside [0, 1), or when the training pictures are of fewer than two classes; nothing is
// moved then.
func (d *Dataset) HoldOut(seed uint64, valShare, testShare float64) error {
	for _, s := range []float64{valShare, testShare} {
		if !(s >= 0 && s < 1) {
			return errs.New(errs.Invalid, "dataset: share to hold out: got %v, want 0 or more and less than 1", s)
		}
	}
	if err := d.severalClasses(); err != nil {
		return err
	}
	if len(d.Indices(Test)) == 0 {
		d.moveShare(seed, Test, testShare)
	}
	if len(d.Indices(Val)) == 0 {
		d.moveShare(seed, Val, valShare)
	}
	return nil
}

func (d *Dataset) severalClasses() error {
	train := d.Indices(Train)
	classes := map[int64]bool{}
	for _, i := range train {
		classes[d.Samples[i].Label] = true
	}
	if len(classes) >= 2 {
		return nil
	}
	found := []string{}
	for label := range classes {
		found = append(found, fmt.Sprintf("%q", d.ClassNames[label]))
	}
	return errs.New(errs.Invalid, "dataset: training images: got %d images of %d class %s, want at least 2 classes",
		len(train), len(classes), strings.Join(found, ""))
}

// moveShare moves about share of every class's training pictures to a split.
func (d *Dataset) moveShare(seed uint64, to Split, share float64) {
	stream := rng.New(seed, "holdout/"+to.String())
	for _, groups := range d.trainGroupsByClass() {
		total := 0
		for _, g := range groups {
			total += len(g)
		}
		stream.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		target, moved := share*float64(total), 0.0
		for _, g := range groups {
			n := float64(len(g))
			// a group moves when that brings the class nearer to its target and leaves some of it for training
			if math.Abs(moved+n-target) >= math.Abs(moved-target) || int(moved+n) >= total {
				continue
			}
			moved += n
			for _, i := range g {
				d.Samples[i].Split = to
			}
		}
	}
}

// trainGroupsByClass lists, for each class, the groups of training samples whose most frequent label (the lowest on a
// tie) is that class. Groups come in the order of their first sample.
func (d *Dataset) trainGroupsByClass() [][][]int {
	members, order := map[int][]int{}, []int{}
	for _, i := range d.Indices(Train) {
		g := d.groupOf(i)
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], i)
	}
	out := make([][][]int, d.NumClasses())
	count := make([]int, d.NumClasses())
	for _, g := range order {
		best := d.Samples[members[g][0]].Label
		for _, i := range members[g] {
			count[d.Samples[i].Label]++
		}
		for _, i := range members[g] {
			if l := d.Samples[i].Label; count[l] > count[best] || count[l] == count[best] && l < best {
				best = l
			}
		}
		for _, i := range members[g] {
			count[d.Samples[i].Label] = 0
		}
		out[best] = append(out[best], members[g])
	}
	return out
}
