package nvlib

// #include "nvlib.h"
import "C"

import (
	"libdsl/lib/errs"
)

// Plan is a convolution by one of cuDNN's engines.
type Plan struct {
	c         *C.nvlib_plan
	name      string
	workspace int64
	conv      Conv
}

// Plans finds up to most ways to compute a convolution that need no more than maxWorkspace bytes, the one that cuDNN thinks fastest first; after its
// heuristics' come those of its fallback list. An engine is left out when it
//
//   - computes with less than Conv asks: sums in less than float32; of F32 with bfloat16 or half inputs, or without TF32 on tensor cores;
//   - is not deterministic, where Conv asks for that;
//   - wants its weights in an order of their own;
//   - cannot be built, as it does not fit the shape, the GPU, or what is installed.
//
// None left is no error: a fused convolution often has none, and then its parts are to be computed one by one. Building a plan can take a second, as
// cuDNN compiles some. Errors: Invalid; OutOfMemory; Device.
func (h *Handles) Plans(c Conv, most int, maxWorkspace int64) ([]*Plan, error) {
	if h.c == nil {
		return nil, h.closed()
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if most < 1 {
		return nil, nil
	}
	found := make([]*C.nvlib_plan, most)
	native := c.native()
	var count C.int
	if C.nvlib_plans(h.c, &native, C.int(most), C.int64_t(maxWorkspace), &found[0], &count) != 0 {
		return nil, failure(&h.c.problem)
	}
	plans := make([]*Plan, count)
	for i := range plans {
		plans[i] = &Plan{found[i], C.GoString(&found[i].name[0]), int64(found[i].workspace), c}
	}
	return plans, nil
}

// Name tells the engine and its settings, as "cudnn engine 28 k2=3". It is the same in each process with the same GPU and the same cuDNN.
func (p *Plan) Name() string { return p.name }

// Workspace is how many bytes of device memory Run needs.
func (p *Plan) Workspace() int64 { return p.workspace }

// alignment is what the plans' kernels may rely on, in bytes.
const alignment = 16

// Run queues the convolution. It allocates nothing, and may be captured once it has run outside of a capture, where it loads its kernels. The
// operands and the workspace must lie at multiples of 16 bytes. Errors: Invalid; Device.
func (p *Plan) Run(o Operands, workspace uint64) error {
	if p.c == nil {
		return errs.New(errs.Invalid, "nvlib: the plan is closed")
	}
	if err := p.check(o, workspace); err != nil {
		return err
	}
	if C.nvlib_plan_run(p.c, C.uint64_t(o.X), C.uint64_t(o.W), C.uint64_t(o.Y), C.uint64_t(o.Bias), C.uint64_t(o.Residual),
		C.uint64_t(workspace)) != 0 {
		return failure(&p.c.handles.problem)
	}
	return nil
}

func (p *Plan) check(o Operands, workspace uint64) error {
	ok := func(at uint64, needed bool) bool { return !needed || at != 0 && at%alignment == 0 }
	if ok(o.X, true) && ok(o.W, true) && ok(o.Y, true) && ok(o.Bias, p.conv.Bias) && ok(o.Residual, p.conv.Residual) &&
		ok(workspace, p.workspace > 0) {
		return nil
	}
	return errs.New(errs.Invalid, "nvlib: %s: operands %#x and workspace %#x must be memory at multiples of %d bytes", p.name, o, workspace,
		alignment)
}

// Close frees the plan, before its handles. It may be called twice.
func (p *Plan) Close() {
	if p.c != nil {
		C.nvlib_plan_destroy(p.c)
		p.c = nil
	}
}
