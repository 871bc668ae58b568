// Package nn has the layers that backbones and heads are made of: they name their tensors and lay out ops on graph.
//
// Tensor names follow torchvision's state dicts ("layer1.0.conv1.weight"), so that weights from elsewhere fit; weights are KRSC.
package nn

import (
	"libdsl/lib/graph"
	"libdsl/lib/ir"
)

// Eps is BatchNorm's ε.
const Eps = 1e-5

// Norm says how BatchNorm layers normalise.
type Norm uint8

// Frozen layers use their running statistics and fold into the convolution before them. Batch layers use the statistics of the batch
// and update the running ones in the Update phase.
const (
	Frozen Norm = iota
	Batch
)

// Net is a network under construction.
type Net struct {
	*graph.Builder
	Norm Norm
}

// ConvNorm is a convolution without bias and the BatchNorm behind it: x [B,H,W,C] -> [B,H',W',k], kernel r×r, padding r/2.
func (n *Net) ConvNorm(x graph.Value, conv, norm string, k, r, stride int) graph.Value {
	w := n.Param(conv+".weight", k, r, r, channels(x))
	gamma, beta := n.Param(norm+".weight", k), n.Param(norm+".bias", k)
	mean := n.State(norm+".running_mean", ir.F32, k)
	variance := n.State(norm+".running_var", ir.F32, k)
	if n.Norm == Frozen {
		scaled, bias := n.FoldNorm(w, gamma, beta, mean, variance, Eps)
		return n.ConvBias(x, scaled, bias, stride, r/2)
	}
	y, mu, sigma2 := n.BatchNorm(n.Conv(x, w, stride, r/2), gamma, beta, Eps)
	if s := y.Shape(); s != nil {
		n.Update(ir.UpdateRunning, ir.Attrs{Count: s[0] * s[1] * s[2]}, mu, sigma2, mean, variance)
	}
	return y
}

// ConvLayer is a convolution with bias: kernel r×r, stride 1, padding r/2.
func (n *Net) ConvLayer(x graph.Value, name string, k, r int) graph.Value {
	w, b := n.Param(name+".weight", k, r, r, channels(x)), n.Param(name+".bias", k)
	return n.ConvBias(x, w, b, 1, r/2)
}

// LinearLayer maps [B,C] to [B,d].
func (n *Net) LinearLayer(v graph.Value, name string, d int) graph.Value {
	return n.Linear(v, n.Param(name+".weight", d, channels(v)), n.Param(name+".bias", d))
}

// channels is the last extent, 1 where an earlier call has failed.
func channels(x graph.Value) int {
	if s := x.Shape(); len(s) > 0 {
		return s[len(s)-1]
	}
	return 1
}
