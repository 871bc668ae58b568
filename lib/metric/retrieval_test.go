package metric

import "math"

func normalise(x []float32, dim int) {
	for at := 0; at < len(x); at += dim {
		var sum float64
		for _, v := range x[at : at+dim] {
			sum += float64(v) * float64(v)
		}
		for j := range dim {
			x[at+j] = float32(float64(x[at+j]) / math.Sqrt(sum))
		}
	}
}
