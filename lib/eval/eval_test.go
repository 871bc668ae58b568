package eval

import (
	"context"
	"math"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/metric"
	"libdsl/lib/rng"
)

// blobs are n rows of each class around the class's own axis.
func blobs(classes, n int, noise float64) (x []float32, labels []int64) {
	r := rng.New(3, "blobs")
	for i := range classes * n {
		for d := range classes {
			v := r.NormFloat64() * noise
			if d == i%classes {
				v++
			}
			x = append(x, float32(v))
		}
		labels = append(labels, int64(i%classes))
	}
	return x, labels
}

func TestSeparateClassesScoreOneAndNoiseAboutZero(t *testing.T) {
	x, labels := blobs(4, 25, 0.01)
	r, err := Score(context.Background(), x, 4, labels, nil, metric.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.NMI-1) > 1e-9 || math.Abs(r.AMI-1) > 1e-9 || r.SelfExcluded.Micro.RecallAtK[0] != 1 || r.Classes != 4 || r.Images != 100 {
		t.Fatalf("separate classes: %+v", r)
	}
	x, labels = blobs(4, 25, 1000)
	if r, err = Score(context.Background(), x, 4, labels, nil, metric.Options{}); err != nil {
		t.Fatal(err)
	}
	if math.Abs(r.AMI) > 0.1 || r.NMI > 0.2 {
		t.Fatalf("noise: NMI %v, AMI %v", r.NMI, r.AMI)
	}
}

func TestAGroupIsExcludedOnlyWhenGroupsAreGiven(t *testing.T) {
	x, labels := blobs(2, 10, 0.01)
	r, err := Score(context.Background(), x, 2, labels, nil, metric.Options{})
	if err != nil || r.GroupExcluded != nil {
		t.Fatalf("without groups: %v %v", r, err)
	}
	r, err = Score(context.Background(), x, 2, labels, labels, metric.Options{}) // each class one group: no hit is left
	if err != nil || r.GroupExcluded.Dropped != 20 {
		t.Fatalf("one group a class: %+v %v", r, err)
	}
}

func TestTooLittleToScoreIsInvalid(t *testing.T) {
	x, labels := blobs(2, 2, 0.1)
	for name, err := range map[string]error{
		"no image":        second(Score(context.Background(), nil, 2, nil, nil, metric.Options{})),
		"one image":       second(Score(context.Background(), x[:2], 2, labels[:1], nil, metric.Options{})),
		"one class":       second(Score(context.Background(), x, 2, make([]int64, 4), nil, metric.Options{})),
		"a missing label": second(Score(context.Background(), x, 2, labels[:3], nil, metric.Options{})),
	} {
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
