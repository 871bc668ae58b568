package nvlib

// sum is the exact value of an output element, and the sum of the sizes of what was added to it, by which rounding is judged.
type sum struct{ value, size float64 }

func (s *sum) add(v float64) {
	s.value += v
	s.size += max(v, -v)
}

func (c Conv) out() (h, w int) {
	return (c.H+2*c.Pad-c.Kernel)/c.Stride + 1, (c.W+2*c.Pad-c.Kernel)/c.Stride + 1
}

// counts are the numbers of elements of X, W and Y.
func (c Conv) counts() (x, w, y int) {
	h, v := c.out()
	return c.N * c.H * c.W * c.C, c.K * c.Kernel * c.Kernel * c.C, c.N * h * v * c.K
}

// eachProduct calls f with the indices of all pairs that a convolution multiplies, and of where the product goes.
func (c Conv) eachProduct(f func(x, w, y int)) {
	oh, ow := c.out()
	for n := range c.N {
		for i := range oh {
			for j := range ow {
				for r := range c.Kernel {
					for s := range c.Kernel {
						p, q := i*c.Stride-c.Pad+r, j*c.Stride-c.Pad+s
						if p < 0 || q < 0 || p >= c.H || q >= c.W {
							continue
						}
						for k := range c.K {
							for ch := range c.C {
								f(((n*c.H+p)*c.W+q)*c.C+ch, ((k*c.Kernel+r)*c.Kernel+s)*c.C+ch, ((n*oh+i)*ow+j)*c.K+k)
							}
						}
					}
				}
			}
		}
	}
}

// tensors are the operands' values on the host.
type tensors struct{ x, w, y, bias, residual []float32 }

// reference computes in float64 what a convolution writes.
func (c Conv) reference(t tensors) []sum {
	nx, nw, ny := c.counts()
	switch c.Op {
	case GradData:
		out := make([]sum, nx)
		c.eachProduct(func(x, w, y int) { out[x].add(float64(t.w[w]) * float64(t.y[y])) })
		return out
	case GradWeights:
		out := make([]sum, nw)
		c.eachProduct(func(x, w, y int) { out[w].add(float64(t.x[x]) * float64(t.y[y])) })
		return out
	}
	out := make([]sum, ny)
	c.eachProduct(func(x, w, y int) { out[y].add(float64(t.x[x]) * float64(t.w[w])) })
	for i := range out {
		if c.Residual {
			out[i].add(float64(t.residual[i]))
		}
		if c.Bias {
			out[i].add(float64(t.bias[i%c.K]))
		}
		if c.ReLU {
			out[i].value = max(out[i].value, 0)
		}
	}
	return out
}
