package goref

import (
	"unsafe"

	"libdsl/lib/ir"
)

// Buf is a dense tensor in host memory; one of F, U, I is set, by element type. The zero Buf is an output that nobody reads.
type Buf struct {
	Shape ir.Shape
	F     []float32
	U     []uint8
	I     []int32
}

func newBuf(t *ir.Tensor) Buf {
	n := t.Shape.Count()
	switch t.DType {
	case ir.U8:
		return Buf{Shape: t.Shape, U: make([]uint8, n)}
	case ir.I32:
		return Buf{Shape: t.Shape, I: make([]int32, n)}
	}
	return Buf{Shape: t.Shape, F: make([]float32, n)}
}

// view is a tensor over memory of the arena.
func view(t *ir.Tensor, at unsafe.Pointer) Buf {
	n := t.Shape.Count()
	switch t.DType {
	case ir.U8:
		return Buf{Shape: t.Shape, U: unsafe.Slice((*uint8)(at), n)}
	case ir.I32:
		return Buf{Shape: t.Shape, I: unsafe.Slice((*int32)(at), n)}
	}
	return Buf{Shape: t.Shape, F: unsafe.Slice((*float32)(at), n)}
}

func (b Buf) absent() bool { return b.Shape == nil }

// kernel computes one kind; args may be nil for kinds that read none.
type kernel func(a *ir.Attrs, args *ir.Args, in, out []Buf)

var kernels = [ir.NumKinds]kernel{
	ir.Normalize:         normalize,
	ir.Conv:              conv,
	ir.ConvGradData:      convGradData,
	ir.ConvGradWeights:   convGradWeights,
	ir.ScaleWeights:      scaleWeights,
	ir.ScaleWeightsGrad:  scaleWeightsGrad,
	ir.ShiftBias:         shiftBias,
	ir.ShiftBiasGrad:     shiftBiasGrad,
	ir.BatchNorm:         batchNorm,
	ir.BatchNormGrad:     batchNormGrad,
	ir.UpdateRunning:     updateRunning,
	ir.ReLU:              relu,
	ir.ReLUGrad:          reluGrad,
	ir.Add:               add,
	ir.MaxPool:           maxPool,
	ir.MaxPoolGrad:       maxPoolGrad,
	ir.Sigmoid:           sigmoid,
	ir.SigmoidGrad:       sigmoidGrad,
	ir.Pool:              pool,
	ir.PoolGrad:          poolGrad,
	ir.GatedPool:         gatedPool,
	ir.GatedPoolGrad:     gatedPoolGrad,
	ir.Dropout:           dropout,
	ir.Linear:            linear,
	ir.LinearGradData:    linearGradData,
	ir.LinearGradWeights: linearGradWeights,
	ir.Adam:              adam,
}

// Run computes one step on dense buffers. Shapes are taken to be checked (ir.InferShapes).
func Run(kind ir.Kind, a *ir.Attrs, args *ir.Args, in, out []Buf) { kernels[kind](a, args, in, out) }
