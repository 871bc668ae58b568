package graph

import "libdsl/lib/ir"

// The ops that networks are made of; formulas and shapes stand at the kinds in package ir. B batch, H W pixels, C channels, D embedding dim.

// Normalize turns u8 pixels [B,H,W,3] into (pixels/255 − mean)/std.
func (b *Builder) Normalize(pixels Value, mean, std [3]float32) Value {
	return b.one(ir.Normalize, ir.Attrs{Mean: mean, Std: std}, pixels)
}

// Conv is a square convolution without bias: x [B,H,W,C], w [K,R,R,C].
func (b *Builder) Conv(x, w Value, stride, pad int) Value {
	return b.one(ir.Conv, ir.Attrs{Stride: stride, Pad: pad}, x, w)
}

// ConvBias is Conv with a bias [K].
func (b *Builder) ConvBias(x, w, bias Value, stride, pad int) Value {
	return b.one(ir.Conv, ir.Attrs{Stride: stride, Pad: pad, Bias: true}, x, w, bias)
}

// FoldNorm folds a frozen BatchNorm into the convolution before it: the weights w·s and the bias β − m·s with s = γ/√(v+ε).
func (b *Builder) FoldNorm(w, gamma, beta, mean, variance Value, eps float32) (scaled, bias Value) {
	a := ir.Attrs{Eps: eps}
	return b.one(ir.ScaleWeights, a, w, gamma, variance), b.one(ir.ShiftBias, a, gamma, beta, mean, variance)
}

// BatchNorm normalises by this batch's statistics, which it also returns: mean and biased variance, [C].
func (b *Builder) BatchNorm(x, gamma, beta Value, eps float32) (y, mean, variance Value) {
	out := b.apply(ir.BatchNorm, ir.Attrs{Eps: eps}, x, gamma, beta)
	return out[0], out[1], out[2]
}

// ReLU is max(0, x).
func (b *Builder) ReLU(x Value) Value { return b.one(ir.ReLU, ir.Attrs{}, x) }

// Add is x + y, of equal shapes.
func (b *Builder) Add(x, y Value) Value { return b.one(ir.Add, ir.Attrs{}, x, y) }

// MaxPool takes the maximum over kernel×kernel windows.
func (b *Builder) MaxPool(x Value, kernel, stride, pad int) Value {
	return b.apply(ir.MaxPool, ir.Attrs{Kernel: kernel, Stride: stride, Pad: pad}, x)[0]
}

// Sigmoid is 1/(1+exp(−x)).
func (b *Builder) Sigmoid(x Value) Value { return b.one(ir.Sigmoid, ir.Attrs{}, x) }

// Pool is the mean over all pixels: [B,H,W,C] -> [B,C].
func (b *Builder) Pool(x Value) Value { return b.one(ir.Pool, ir.Attrs{}, x) }

// GatedPool is the mean over all pixels of x times a gate [B,H,W,1].
func (b *Builder) GatedPool(x, gate Value) Value { return b.one(ir.GatedPool, ir.Attrs{}, x, gate) }

// Dropout zeroes elements of v [B,C] with probability rate and scales the others by 1/(1−rate).
func (b *Builder) Dropout(v Value, rate float32) Value {
	return b.one(ir.Dropout, ir.Attrs{Rate: rate}, v)
}

// Linear is v·wᵀ + bias: v [B,C], w [D,C], bias [D] -> [B,D].
func (b *Builder) Linear(v, w, bias Value) Value { return b.one(ir.Linear, ir.Attrs{}, v, w, bias) }
