package metric

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden is tests/golden/metric.json, written by metric.py beside it.
type golden struct {
	Clusterings []struct {
		Name     string
		Labels   []int64
		Clusters []int
		NMI, AMI float64
	}
	Large []struct {
		N, A, Classes, B, Clusters, P int
		NMI, AMI                      float64
	}
	Retrievals []struct {
		Name           string
		Dim            int
		X              []float32
		Labels, Groups []int64
		SelfExcluded   goldenAverages `json:"self_excluded"`
		GroupExcluded  goldenAverages `json:"group_excluded"`
	}
}

// goldenAverages holds recall@1, 2, 4, 8, R-precision and MAP@R.
type goldenAverages struct {
	Micro, Macro     [6]float64
	Queries, Dropped int
}

func readGolden(t *testing.T) (g golden) {
	t.Helper()
	data, err := os.ReadFile("../../tests/golden/metric.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Clusterings) == 0 || len(g.Large) == 0 || len(g.Retrievals) == 0 {
		t.Fatal("the golden file is empty")
	}
	return g
}

func TestNMIAndAMIEqualScikitLearn(t *testing.T) {
	for _, c := range readGolden(t).Clusterings {
		nmi, err := NMI(c.Labels, c.Clusters)
		if err != nil {
			t.Fatal(err)
		}
		ami, err := AMI(c.Labels, c.Clusters)
		if err != nil {
			t.Fatal(err)
		}
		// 1e-12: sums of up to some hundred float64 terms below 1; AMI divides by differences of size 0.01 and more
		if math.Abs(nmi-c.NMI) > 1e-12 || math.Abs(ami-c.AMI) > 1e-10 {
			t.Errorf("%s: got NMI %v, AMI %v, want %v, %v", c.Name, nmi, ami, c.NMI, c.AMI)
		}
	}
}

func TestNMIAndAMIOfLargeTablesEqualScikitLearn(t *testing.T) {
	for _, c := range readGolden(t).Large {
		labels, clusters := make([]int64, c.N), make([]int, c.N)
		for i := range labels {
			labels[i], clusters[i] = int64(i*c.A%c.P%c.Classes), i*c.B%c.P%c.Clusters
		}
		nmi, err := NMI(labels, clusters)
		if err != nil {
			t.Fatal(err)
		}
		ami, err := AMI(labels, clusters)
		if err != nil {
			t.Fatal(err)
		}
		// 1e-9: scikit-learn's logarithms of factorials of 50000 are 5e5, and known to 1e-10
		if math.Abs(nmi-c.NMI) > 1e-9 || math.Abs(ami-c.AMI) > 1e-9 {
			t.Errorf("%+v: got NMI %v, AMI %v", c, nmi, ami)
		}
	}
}

func TestRetrievalEqualsNumPy(t *testing.T) {
	for _, c := range readGolden(t).Retrievals {
		r, err := Retrieve(context.Background(), c.X, c.Dim, c.Labels, c.Groups, Options{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, c.Name+", self excluded", r.SelfExcluded, c.SelfExcluded)
		compare(t, c.Name+", group excluded", *r.GroupExcluded, c.GroupExcluded)
	}
}

func compare(t *testing.T, name string, got Averages, want goldenAverages) {
	t.Helper()
	if got.Queries != want.Queries || got.Dropped != want.Dropped {
		t.Errorf("%s: got %d queries and %d dropped, want %d and %d", name, got.Queries, got.Dropped, want.Queries, want.Dropped)
	}
	for i := range want.Micro {
		if math.Abs(list(got.Micro)[i]-want.Micro[i]) > 1e-12 || math.Abs(list(got.Macro)[i]-want.Macro[i]) > 1e-12 {
			t.Errorf("%s, score %d: got %v and %v, want %v and %v", name, i, list(got.Micro)[i], list(got.Macro)[i], want.Micro[i], want.Macro[i])
		}
	}
}

// list returns the scores in the golden file's order.
func list(s Scores) [6]float64 {
	r := s.RecallAtK
	return [6]float64{r[0], r[1], r[2], r[3], s.RPrecision, s.MAPAtR}
}
