package loss

import (
	"libdsl/lib/distance"
	"libdsl/lib/errs"
	"libdsl/lib/internal/simd"
)

// ProxyAnchor is the proxy-anchor loss, in which each class has a learnt proxy:
//
//	loss = (1/P) Σ_{c in the batch} log(1 + Σ_{i of class c} exp(−Alpha (s_ic − Margin)))
//	     + (1/C) Σ_c log(1 + Σ_{i not of class c} exp(Alpha (s_ic + Margin)))
//
// with P the number of classes in the batch, C that of all, and s_ic = ⟨x_i, u_c⟩ the cosine of a unit row and the direction of class c's proxy
// among the neurons that the rows are of (Select).
//
// Shapes: rows [B, N], of unit length; labels [B] in [0, C). One image, one class, and coinciding rows have a gradient as well, to and from the
// proxies. Source: Kim et al., CVPR 2020, eq. 4.
type ProxyAnchor struct {
	Alpha  float64 // sharpness
	Margin float64 // δ: images should be more similar to their own proxy than this, and less than −δ to others
	*proxies

	present []bool    // [C], whether the batch has the class
	rows    []float64 // [B, N]
	s       []float64 // [B, C]
	slope   []float64 // [B, C], ∂loss/∂s
	at      []int     // the images of one sum
	weights []float64 // their exponents, then weights
	sum     []float64 // [N], the gradient of one row
}

// buildProxyAnchor makes the loss with Alpha = 32 and Margin = 0.1 (Kim et al. 2020).
func buildProxyAnchor(o Options) (Loss, error) {
	p, err := newProxies("loss proxy-anchor", o)
	if err != nil {
		return nil, err
	}
	return &ProxyAnchor{Alpha: 32, Margin: 0.1, proxies: p}, nil
}

// Name is "proxy-anchor".
func (l *ProxyAnchor) Name() string { return "proxy-anchor" }

// Compute implements Loss; terms is P. dim must be the number of selected neurons.
func (l *ProxyAnchor) Compute(x []float32, dim int, labels []int64, grad []float32) (value float64, terms int, err error) {
	if err := check(l.who, x, dim, labels, grad); err != nil {
		return 0, 0, err
	}
	if dim != len(l.neurons) {
		return 0, 0, errs.New(errs.Invalid, "%s: rows: got %d columns, want the %d selected neurons", l.who, dim, len(l.neurons))
	}
	if err := checkClasses(l.who, labels, l.classes, "classes"); err != nil {
		return 0, 0, err
	}
	terms = l.compare(x, labels)
	for c := range l.classes {
		if l.present[c] {
			value += l.part(c, labels, true, -l.Alpha, 1/float64(terms))
		}
		value += l.part(c, labels, false, l.Alpha, 1/float64(l.classes))
	}
	l.rowGradient(grad)
	l.backward(l.rows, l.slope)
	return value, terms, nil
}

// compare fills s, the cosines of rows and proxies, and returns the number of classes in the batch.
func (l *ProxyAnchor) compare(x []float32, labels []int64) (present int) {
	n := len(l.neurons)
	l.directions()
	l.rows, l.sum = distance.Resize(l.rows, len(x)), distance.Resize(l.sum, n)
	l.s, l.slope = distance.Resize(l.s, len(labels)*l.classes), distance.Resize(l.slope, len(labels)*l.classes)
	for i, v := range x {
		l.rows[i] = float64(v)
	}
	simd.Dots(l.rows, l.unit, n, l.s, l.classes)
	l.present = distance.Resize(l.present, l.classes)
	clear(l.present)
	for _, c := range labels {
		if !l.present[c] {
			l.present[c] = true
			present++
		}
	}
	return present
}

// part is share · log(1 + Σ exp(sharp s_ic + Alpha Margin)) over the images i of class c, or over all others, and writes its slopes.
func (l *ProxyAnchor) part(c int, labels []int64, own bool, sharp, share float64) float64 {
	l.at, l.weights = l.at[:0], l.weights[:0]
	for i, label := range labels {
		if (label == int64(c)) == own {
			l.at = append(l.at, i*l.classes+c)
			l.weights = append(l.weights, sharp*l.s[i*l.classes+c]+l.Alpha*l.Margin)
		}
	}
	value := logOnePlus(l.weights)
	for k, at := range l.at {
		l.slope[at] = share * sharp * l.weights[k]
	}
	return share * value
}

// rowGradient writes Σ_c slope_ic·u_c.
func (l *ProxyAnchor) rowGradient(grad []float32) {
	n := len(l.neurons)
	for at := 0; at < len(grad); at += n {
		clear(l.sum)
		for c, w := range l.slope[at/n*l.classes:][:l.classes] {
			addScaled(l.sum, w, l.unit[c*n:(c+1)*n])
		}
		for k, v := range l.sum {
			grad[at+k] = float32(v)
		}
	}
}
