package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"libdsl/lib/errs"
)

// grouped is a manifest-like data set: counts[c] images of class c, in groups of 1, 2, 3, 1, 2, 3 …
func grouped(counts ...int) *Dataset {
	b := newBuilder()
	for label, n := range counts {
		for i := range n {
			group := i/6*3 + []int{0, 1, 1, 2, 2, 2}[i%6]
			b.nameClass(int64(label), "")
			b.d.Samples = append(b.d.Samples, Sample{Name: fmt.Sprintf("%d-%d.png", label, i), Label: int64(label),
				Group: b.groupNumber(fmt.Sprintf("%d/%d", label, group)), bytes: 1})
		}
	}
	d, err := b.finish("test")
	if err != nil {
		panic(err)
	}
	return d
}

func splitsOf(d *Dataset) (out []Split) {
	for _, s := range d.Samples {
		out = append(out, s.Split)
	}
	return out
}

func TestHoldOutIsStratifiedAndKeepsGroupsWhole(t *testing.T) {
	d, again, other := grouped(300, 60, 12), grouped(300, 60, 12), grouped(300, 60, 12)
	if d.HoldOut(1, 0.15, 0.2) != nil || again.HoldOut(1, 0.15, 0.2) != nil || other.HoldOut(2, 0.15, 0.2) != nil {
		t.Fatal("failed")
	}
	if d.leakingGroups() != 0 {
		t.Errorf("%d groups are in two splits", d.leakingGroups())
	}
	got := map[string]int{}
	for _, s := range d.Samples {
		got[fmt.Sprint(s.Label, s.Split)]++
	}
	for label, n := range []float64{300, 60, 12} {
		test, val := n*0.2, n*0.8*0.15
		for split, want := range map[Split]float64{Test: test, Val: val} {
			// whole groups of up to 3 come within half a group of the share; the test split's remainder moves val's share a little
			if have := float64(got[fmt.Sprint(label, split)]); math.Abs(have-want) > 1.5+0.3 {
				t.Errorf("class %d, %v: got %v images, want about %v", label, split, have, want)
			}
		}
	}
	if !slices.Equal(splitsOf(d), splitsOf(again)) {
		t.Error("one seed gave two splits")
	}
	if slices.Equal(splitsOf(d), splitsOf(other)) {
		t.Error("two seeds gave one split")
	}
}

func TestHoldOutLeavesGivenSplitsAlone(t *testing.T) {
	d := grouped(30, 30)
	for i := range d.Samples {
		d.Samples[i].Split = Split(i / 7 % 3)
	}
	before := splitsOf(d)
	if err := d.HoldOut(1, 0.15, 0.2); err != nil || !slices.Equal(before, splitsOf(d)) {
		t.Errorf("given splits changed (%v)", err)
	}
	d = grouped(30, 30)
	if err := d.HoldOut(1, 0.15, 0); err != nil || len(d.Indices(Test)) != 0 || len(d.Indices(Val)) == 0 {
		t.Errorf("a test share of 0: %v, %d test images", err, len(d.Indices(Test)))
	}
}

func TestHoldOutNeverEmptiesAClass(t *testing.T) {
	d := grouped(1, 2, 3, 40)
	if err := d.HoldOut(3, 0.9, 0.9); err != nil {
		t.Fatal(err)
	}
	left := map[int64]bool{}
	for _, l := range d.Labels(d.Indices(Train)) {
		left[l] = true
	}
	if len(left) != 4 {
		t.Errorf("classes left for training: %v", left)
	}
}

func TestHoldOutRefuses(t *testing.T) {
	one := grouped(20)
	before := splitsOf(one)
	if err := one.HoldOut(1, 0.15, 0.2); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "at least 2 classes") {
		t.Errorf("one class: got %v", err)
	}
	if !slices.Equal(before, splitsOf(one)) {
		t.Error("a refused call changed the splits")
	}
	for _, share := range []float64{-0.1, 1, math.NaN()} {
		if err := grouped(9, 9).HoldOut(1, share, 0.2); errs.KindOf(err) != errs.Invalid {
			t.Errorf("share %v: got %v", share, err)
		}
	}
}

func TestHashSeesWhatItShould(t *testing.T) {
	base := grouped(6, 6).Hash()
	if base != grouped(6, 6).Hash() {
		t.Fatal("equal data, two hashes")
	}
	renamed := grouped(6, 6)
	renamed.GroupNames[0] = "another name of the patient"
	renamed.Samples[0].Path = "/somewhere/else/0-0.png"
	if renamed.Hash() != base {
		t.Error("the hash depends on paths or on names of groups")
	}
	for name, change := range map[string]func(*Dataset){
		"a label":      func(d *Dataset) { d.Samples[3].Label = 1 },
		"a split":      func(d *Dataset) { d.Samples[3].Split = Val },
		"a group":      func(d *Dataset) { d.Samples[3].Group = 0 },
		"no group":     func(d *Dataset) { d.Samples[2].Group = NoGroup },
		"a file size":  func(d *Dataset) { d.Samples[3].bytes++ },
		"a name":       func(d *Dataset) { d.Samples[3].Name = "x" },
		"a class name": func(d *Dataset) { d.ClassNames[1] = "x" },
		"the order":    func(d *Dataset) { d.Samples[0], d.Samples[3] = d.Samples[3], d.Samples[0] },
		"the number":   func(d *Dataset) { d.Samples = d.Samples[:11] },
	} {
		d := grouped(6, 6)
		change(d)
		if d.Hash() == base {
			t.Errorf("%s changed and the hash did not", name)
		}
	}
}
