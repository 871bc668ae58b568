package main

/*
#include "shim.h"
*/
import "C"

import (
	"libdsl/lib/dsl"
	"libdsl/lib/errs"
)

//export goSessionCreate
func goSessionCreate(model C.uintptr_t, o *C.dsl_session_options, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		if o.reserved != 0 {
			return errs.New(errs.AbiMismatch, "capi: dsl_session_options: reserved is set")
		}
		s, err := dsl.NewSession(m, dsl.SessionOptions{Device: text(o.device), Threads: int(o.threads), BatchInvariant: o.batch_invariant != 0,
			Precision: text(o.precision)})
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(s))
		return nil
	})
}

// imageList are the images behind an array of handles.
func imageList(c *call, images *C.uintptr_t, n C.size_t) ([]*dsl.Image, error) {
	handles, err := slice("images", images, n)
	if err != nil {
		return nil, err
	}
	list := make([]*dsl.Image, len(handles))
	for i, h := range handles {
		if list[i], err = use[*dsl.Image](c, uintptr(h)); err != nil {
			return nil, errs.Wrap(errs.KindOf(err), err, "capi: images: row %d", i)
		}
	}
	return list, nil
}

//export goSessionEmbed
func goSessionEmbed(session C.uintptr_t, images *C.uintptr_t, n C.size_t, token C.uintptr_t, out *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, err := use[*dsl.Session](c, uintptr(session))
		if err != nil {
			return err
		}
		list, err := imageList(c, images, n)
		if err != nil {
			return err
		}
		floats, err := slice("out_embeddings", (*float32)(out), capacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		return s.Embed(ctx, list, floats)
	})
}

//export goSessionEmbedFiles
func goSessionEmbedFiles(session C.uintptr_t, paths **C.char, n C.size_t, token C.uintptr_t, out *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, err := use[*dsl.Session](c, uintptr(session))
		if err != nil {
			return err
		}
		strings, err := slice("paths", paths, n)
		if err != nil {
			return err
		}
		list := make([]string, len(strings))
		for i, p := range strings {
			if list[i], err = required("path", p); err != nil {
				return errs.Wrap(errs.Invalid, err, "capi: paths: row %d", i)
			}
		}
		floats, err := slice("out_embeddings", (*float32)(out), capacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		return s.EmbedFiles(ctx, list, floats)
	})
}

// sessionAndImage are what the calls on one image need.
func sessionAndImage(c *call, session, image C.uintptr_t) (*dsl.Session, *dsl.Image, error) {
	s, err := use[*dsl.Session](c, uintptr(session))
	if err != nil {
		return nil, nil, err
	}
	img, err := use[*dsl.Image](c, uintptr(image))
	return s, img, err
}

//export goSessionGridSize
func goSessionGridSize(session, image C.uintptr_t, height, width *C.int32_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, img, err := sessionAndImage(c, session, image)
		if err != nil {
			return err
		}
		h, w, err := s.GridSize(img)
		if err != nil {
			return err
		}
		return setSize(height, width, h, w)
	})
}

//export goSessionHeatmap
func goSessionHeatmap(session, image, token C.uintptr_t, grid *C.float, gridCapacity C.size_t, heatmap *C.float, heatmapCapacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, img, err := sessionAndImage(c, session, image)
		if err != nil {
			return err
		}
		g, h, err := mapRooms(grid, gridCapacity, "out_heatmap", heatmap, heatmapCapacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		return s.Heatmap(ctx, img, g, h)
	})
}

// mapRooms are the caller's memory for a map on the network's grid and over the original's pixels.
func mapRooms(grid *C.float, gridCapacity C.size_t, name string, original *C.float, capacity C.size_t) (g, o []float32, err error) {
	if g, err = slice("out_grid", (*float32)(grid), gridCapacity); err == nil {
		o, err = slice(name, (*float32)(original), capacity)
	}
	return g, o, err
}

//export goSessionExplainPair
func goSessionExplainPair(session, a, b, token C.uintptr_t, ex *C.dsl_explanation, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, imageA, err := sessionAndImage(c, session, a)
		if err != nil {
			return err
		}
		imageB, err := use[*dsl.Image](c, uintptr(b))
		if err != nil {
			return err
		}
		var e dsl.Explanation
		for _, m := range []struct {
			name string
			dst  *[]float32
			p    *C.float
			n    C.size_t
		}{
			{"grid_a", &e.GridA, ex.grid_a, ex.grid_a_capacity}, {"grid_b", &e.GridB, ex.grid_b, ex.grid_b_capacity},
			{"map_a", &e.MapA, ex.map_a, ex.map_a_capacity}, {"map_b", &e.MapB, ex.map_b, ex.map_b_capacity},
		} {
			if *m.dst, err = slice(m.name, (*float32)(m.p), m.n); err != nil {
				return err
			}
		}
		ctx, stop := watch(token)
		defer stop()
		if err := s.ExplainPair(ctx, imageA, imageB, int(ex.learner), &e); err != nil {
			return err
		}
		ex.similarity, ex.bias_a, ex.bias_b = C.double(e.Similarity), C.double(e.BiasA), C.double(e.BiasB)
		return nil
	})
}

//export goSessionEvaluate
func goSessionEvaluate(session, dataset C.uintptr_t, split *C.char, token C.uintptr_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, err := use[*dsl.Session](c, uintptr(session))
		if err != nil {
			return err
		}
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		json, err := s.Evaluate(ctx, d, text(split))
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(report(json)))
		return nil
	})
}

//export goSessionFree
func goSessionFree(session C.uintptr_t) { closeHandle[*dsl.Session](session) }
