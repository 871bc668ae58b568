package ir

import "fmt"

// Kind names what a step computes.
type Kind uint8

// B batch, H W rows and columns, C input channels, K output channels, R S kernel rows and columns, D embedding dim.
// Operands in parentheses are there when the attribute of that name is set.
const (
	// Normalize: pixels u8 [B,H,W,3] -> y [B,H,W,3] = (pixels/255 − Mean)/Std.
	Normalize Kind = iota
	// Conv: x [B,H,W,C], w [K,R,S,C], (Bias: b [K]), (Residual: r, shaped as y) -> y [B,H',W',K] = conv(x, w) + b + r,
	// (ReLU) max(0, ·). H' = (H + 2·Pad − R)/Stride + 1.
	Conv
	// ConvGradData: w, dy -> dx. Attrs.In is the shape of x.
	ConvGradData
	// ConvGradWeights: x, dy -> dw, db. Attrs.Kernel is R = S.
	ConvGradWeights
	// ScaleWeights: w [K,R,S,C], γ [K], v [K] -> w·s with s = γ/√(v+Eps), per output channel: a frozen BatchNorm folded into w.
	ScaleWeights
	// ScaleWeightsGrad: w, γ, v, G = dL/d(w·s) -> dw = G·s, dγ_k = Σ G_k·w_k/√(v_k+Eps).
	ScaleWeightsGrad
	// ShiftBias: γ, β, m, v -> β − m·s.
	ShiftBias
	// ShiftBiasGrad: γ, m, v, g = dL/d(β − m·s) -> dγ = −m·g/√(v+Eps). (dβ is g itself.)
	ShiftBiasGrad
	// BatchNorm: x [B,H,W,C], γ, β [C], (Residual: r) -> y = γ·(x−μ)/√(σ²+Eps) + β (+ r, ReLU), μ [C], σ² [C] (biased),
	// the statistics of this batch over B·H·W.
	BatchNorm
	// BatchNormGrad: x, μ, σ², γ, dy, (ReLU: y, whose zeros mask dy) -> dx, dγ, dβ, through the statistics.
	BatchNormGrad
	// UpdateRunning: μ, σ², running mean (in place), running variance (in place): r ← (1−ρ)·r + ρ·new, the variance
	// unbiased by n/(n−1); ρ is Args.BNMomentum, n is Attrs.Count. No outputs.
	UpdateRunning
	// ReLU: x -> max(0, x).
	ReLU
	// ReLUGrad: y, dy -> dy where y > 0, else 0. (Residual: y, dy, dy2 -> (dy + dy2) where y > 0: a sum and its mask in one pass.)
	ReLUGrad
	// Add: a, b -> a + b, equal shapes.
	Add
	// MaxPool: x [B,H,W,C] -> y [B,H',W',C], tap u8 [B,H',W',C]: the place of the maximum in the window, row·Kernel + column, the first
	// of equals. Padding never wins.
	MaxPool
	// MaxPoolGrad: tap, dy -> dx. Attrs.In is the shape of x.
	MaxPoolGrad
	// Sigmoid: x -> 1/(1+exp(−x)).
	Sigmoid
	// SigmoidGrad: y, dy -> dy·y·(1−y).
	SigmoidGrad
	// Pool: x [B,H,W,C] -> v [B,C], the mean over H·W (global average pooling).
	Pool
	// PoolGrad: dv -> dx = dv/(H·W). Attrs.In is the shape of x.
	PoolGrad
	// GatedPool: x [B,H,W,C], a [B,H,W,1] -> v [B,C] = mean over H·W of x·a.
	GatedPool
	// GatedPoolGrad: x, a, dv -> dx = a·dv/(H·W), da = Σ_c x·dv/(H·W).
	GatedPoolGrad
	// Dropout: v [B,C] -> v/(1−Rate) where rng.Counter(Args.DropoutKey, row·C + column) >= Rate, else 0. It is its own gradient.
	Dropout
	// Linear: v [B,C], w [D,C], b [D] -> e [B,D] = v·wᵀ + b.
	Linear
	// LinearGradData: w, de -> dv [B,C].
	LinearGradData
	// LinearGradWeights: v, de -> dw, db.
	LinearGradWeights
	// Adam: dw, w (in place), m (in place), v (in place), (PerRow: rows u8 [D], count i32 [D] (in place)). As torch.optim.Adam: g = dw +
	// WeightDecay·w; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← w − LR·m̂/(√v̂ + ε), m̂ and v̂ corrected by Args.Step. PerRow: rows
	// with rows[i] = 0 stay as they are, the others first add 1 to count[i] and are corrected by that. No outputs.
	Adam
	NumKinds
)

var kindNames = [NumKinds]string{"Normalize", "Conv", "ConvGradData", "ConvGradWeights", "ScaleWeights", "ScaleWeightsGrad", "ShiftBias",
	"ShiftBiasGrad", "BatchNorm", "BatchNormGrad", "UpdateRunning", "ReLU", "ReLUGrad", "Add", "MaxPool", "MaxPoolGrad", "Sigmoid",
	"SigmoidGrad", "Pool", "PoolGrad", "GatedPool", "GatedPoolGrad", "Dropout", "Linear", "LinearGradData", "LinearGradWeights", "Adam"}

func (k Kind) String() string {
	if k >= NumKinds {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Attrs are the constants of a step; which of them a kind reads is said at the kind.
type Attrs struct {
	Kernel, Stride, Pad int
	Eps, Rate           float32
	Count               int // samples behind a statistic
	In                  [4]int
	Mean, Std           [3]float32
	Bias, Residual      bool
	ReLU, PerRow        bool
}

// Args are the numbers that change from run to run without a new program.
type Args struct {
	LR, RowLR    float64 // Adam's learning rate; RowLR where it is PerRow
	WeightDecay  float64
	Beta1, Beta2 float64
	AdamEps      float64
	Step         int64 // optimiser steps including this one, from 1
	DropoutKey   uint64
	BNMomentum   float32
}

// OutDType is the element type of output k of a kind.
func OutDType(kind Kind, k int) DType {
	if kind == MaxPool && k == 1 {
		return U8
	}
	return F32
}
