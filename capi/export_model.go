package main

/*
#include "shim.h"
*/
import "C"

import (
	"unsafe"

	"libdsl/lib/dsl"
	"libdsl/lib/errs"
)

//export goModelLoad
func goModelLoad(path *C.char, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		name, err := required("path", path)
		if err != nil {
			return err
		}
		m, err := dsl.LoadModel(name)
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(m))
		return nil
	})
}

//export goModelSave
func goModelSave(model C.uintptr_t, path *C.char, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		name, err := required("path", path)
		if err != nil {
			return err
		}
		return m.Save(name)
	})
}

// modelNumber gives one of a model's numbers.
func modelNumber(model C.uintptr_t, name string, out *C.int32_t, message **C.char, number func(*dsl.Model) int) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		return set(name, out, C.int32_t(number(m)))
	})
}

//export goModelEmbeddingDim
func goModelEmbeddingDim(model C.uintptr_t, out *C.int32_t, message **C.char) C.int32_t {
	return modelNumber(model, "out_embedding_dim", out, message, (*dsl.Model).EmbeddingDim)
}

//export goModelNumLearners
func goModelNumLearners(model C.uintptr_t, out *C.int32_t, message **C.char) C.int32_t {
	return modelNumber(model, "out_num_learners", out, message, (*dsl.Model).NumLearners)
}

//export goModelInputSize
func goModelInputSize(model C.uintptr_t, out *C.int32_t, message **C.char) C.int32_t {
	return modelNumber(model, "out_input_size", out, message, (*dsl.Model).InputSize)
}

//export goModelInfo
func goModelInfo(model C.uintptr_t, out *C.char, capacity C.size_t, needed *C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		json, err := m.Info()
		if err != nil {
			return err
		}
		return setText(json, out, capacity, needed)
	})
}

//export goModelCalibrate
func goModelCalibrate(model, dataset C.uintptr_t, o *C.dsl_calibrate_options, token C.uintptr_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		if o.reserved != 0 {
			return errs.New(errs.AbiMismatch, "capi: dsl_calibrate_options: reserved is set")
		}
		ctx, stop := watch(token)
		defer stop()
		calibrated, err := m.Calibrate(ctx, d, dsl.CalibrateOptions{Split: text(o.split), NumImages: int(o.num_images), Device: text(o.device), Threads: int(o.threads)})
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(calibrated))
		return nil
	})
}

// setText writes a text and its NUL, and says how long they are.
func setText(s []byte, out *C.char, capacity C.size_t, needed *C.size_t) error {
	if needed != nil {
		*needed = C.size_t(len(s) + 1)
	}
	if uint64(capacity) < uint64(len(s))+1 {
		return errs.New(errs.BufferTooSmall, "capi: text: got room for %d bytes, want %d", uint64(capacity), len(s)+1)
	}
	if out == nil {
		return errs.New(errs.Invalid, "capi: out_text: got NULL for %d bytes", uint64(capacity))
	}
	dst := unsafe.Slice((*byte)(unsafe.Pointer(out)), len(s)+1)
	copy(dst, s)
	dst[len(s)] = 0
	return nil
}

//export goModelFree
func goModelFree(model C.uintptr_t) { closeHandle[*dsl.Model](model) }

//export goReportJSON
func goReportJSON(handle C.uintptr_t, out *C.char, capacity C.size_t, needed *C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		r, err := use[report](c, uintptr(handle))
		if err != nil {
			return err
		}
		return setText(r, out, capacity, needed)
	})
}

//export goReportFree
func goReportFree(handle C.uintptr_t) { drop[report](handle) }
