package metric

import (
	"math"
	"testing"

	"libdsl/lib/errs"
	"libdsl/lib/rng"
)

// naiveNMI counts every pair of class and cluster with a loop over the images.
func naiveNMI(labels []int64, clusters []int) float64 {
	n := float64(len(labels))
	share := func(match func(i int) bool) (p float64) {
		for i := range labels {
			if match(i) {
				p += 1 / n
			}
		}
		return p
	}
	// per image: its share of the sums over classes, clusters and pairs
	var information, h float64
	for i := range labels {
		a := share(func(j int) bool { return labels[j] == labels[i] })
		b := share(func(j int) bool { return clusters[j] == clusters[i] })
		both := share(func(j int) bool { return labels[j] == labels[i] && clusters[j] == clusters[i] })
		information += math.Log(both/(a*b)) / n
		h -= (math.Log(a) + math.Log(b)) / 2 / n
	}
	return information / h
}

// naiveAMI takes the expected information from shuffles instead of the hypergeometric formula.
func naiveAMI(labels []int64, clusters []int, shuffles int, r *rng.Stream) float64 {
	h := func(c []int) float64 { // NMI of a partition with itself has denominator H
		_, counts := number(c)
		return entropy(counts, len(c))
	}
	mean := (entropy(countOf(labels), len(labels)) + h(clusters)) / 2
	information := naiveNMI(labels, clusters) * mean
	var chance float64
	mixed := append([]int(nil), clusters...)
	for range shuffles {
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		chance += naiveNMI(labels, mixed) * mean / float64(shuffles)
	}
	return (information - chance) / (mean - chance)
}

func randomPartitions(n int) (labels []int64, clusters []int, r *rng.Stream) {
	r = rng.New(uint64(n), "test")
	for range n {
		labels = append(labels, int64(r.IntN(3)))
		clusters = append(clusters, (int(labels[len(labels)-1])+r.IntN(2))%4)
	}
	return labels, clusters, r
}

func TestNMIAndAMIEqualTheNaiveLoops(t *testing.T) {
	for _, n := range []int{10, 40} {
		labels, clusters, r := randomPartitions(n)
		nmi, err := NMI(labels, clusters)
		if err != nil {
			t.Fatal(err)
		}
		ami, err := AMI(labels, clusters)
		if err != nil {
			t.Fatal(err)
		}
		if want := naiveNMI(labels, clusters); math.Abs(nmi-want) > 1e-12 {
			t.Errorf("%d images: got NMI %v, want %v", n, nmi, want)
		}
		// 2000 shuffles: the expected information has a standard error of about 0.1/√2000
		if want := naiveAMI(labels, clusters, 2000, r); math.Abs(ami-want) > 0.015 {
			t.Errorf("%d images: got AMI %v, want about %v", n, ami, want)
		}
	}
}

func TestEachImageAloneInBothIsOneEqualPartition(t *testing.T) {
	labels, clusters := []int64{0, 1, 2, 3}, []int{3, 2, 1, 0}
	nmi, _ := NMI(labels, clusters)
	ami, err := AMI(labels, clusters)
	if err != nil || math.Abs(nmi-1) > 1e-12 || ami != 1 {
		t.Fatalf("got %v and %v, %v; want 1", nmi, ami, err)
	}
}

func TestNMIAndAMIRefuseBadArguments(t *testing.T) {
	for _, c := range []struct {
		name     string
		labels   []int64
		clusters []int
	}{{"no image", nil, nil}, {"lengths that differ", []int64{1, 2}, []int{1}}} {
		if _, err := NMI(c.labels, c.clusters); errs.KindOf(err) != errs.Invalid {
			t.Errorf("NMI, %s: got %v, want an invalid-argument error", c.name, err)
		}
		if _, err := AMI(c.labels, c.clusters); errs.KindOf(err) != errs.Invalid {
			t.Errorf("AMI, %s: got %v, want an invalid-argument error", c.name, err)
		}
	}
}

func TestEachOfManyImagesAloneInBothNeedsNoTableOfAllPairs(t *testing.T) {
	const n = 100_000 // the square would be 80 GB
	labels, clusters := make([]int64, n), make([]int, n)
	for i := range n {
		labels[i], clusters[i] = int64(i), n-i
	}
	nmi, err := NMI(labels, clusters)
	if err != nil || math.Abs(nmi-1) > 1e-9 {
		t.Errorf("NMI: got %v, %v, want 1", nmi, err)
	}
	for i := range n {
		clusters[i] /= 2
	}
	ami, err := AMI(labels, clusters) // I = E = the entropy of the clusters: nothing beyond chance
	if err != nil || math.Abs(ami) > 1e-9 {
		t.Errorf("AMI: got %v, %v, want 0", ami, err)
	}
}
