package main

/*
#include "shim.h"
*/
import "C"

import (
	"context"

	"libdsl/lib/dsl"
)

//export goModelNumClasses
func goModelNumClasses(model C.uintptr_t, out *C.int32_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		return set("out_num_classes", out, C.int32_t(m.NumClasses()))
	})
}

//export goSessionClassify
func goSessionClassify(session C.uintptr_t, images *C.uintptr_t, n C.size_t, token C.uintptr_t, out *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, err := use[*dsl.Session](c, uintptr(session))
		if err != nil {
			return err
		}
		list, err := imageList(c, images, n)
		if err != nil {
			return err
		}
		floats, err := slice("out_probabilities", (*float32)(out), capacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		return s.Classify(ctx, list, floats)
	})
}

//export goSessionClassMap
func goSessionClassMap(session, image C.uintptr_t, label C.int64_t, token C.uintptr_t, grid *C.float, gridCapacity C.size_t, original *C.float, capacity C.size_t,
	found *C.int64_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, img, err := sessionAndImage(c, session, image)
		if err != nil {
			return err
		}
		g, o, err := mapRooms(grid, gridCapacity, "out_map", original, capacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		class, err := s.ClassMap(ctx, img, int(label), g, o)
		*found = C.int64_t(class)
		return err
	})
}

//export goSessionSelfMap
func goSessionSelfMap(session, image, token C.uintptr_t, grid *C.float, gridCapacity C.size_t, original *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return oneMap((*dsl.Session).SelfMap, session, image, token, grid, gridCapacity, original, capacity, message)
}

//export goSessionActivationMap
func goSessionActivationMap(session, image, token C.uintptr_t, grid *C.float, gridCapacity C.size_t, original *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return oneMap((*dsl.Session).ActivationMap, session, image, token, grid, gridCapacity, original, capacity, message)
}

// oneMap is a call that writes a map of one image.
func oneMap(write func(s *dsl.Session, ctx context.Context, img *dsl.Image, grid, original []float32) error, session, image, token C.uintptr_t,
	grid *C.float, gridCapacity C.size_t, original *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		s, img, err := sessionAndImage(c, session, image)
		if err != nil {
			return err
		}
		g, o, err := mapRooms(grid, gridCapacity, "out_map", original, capacity)
		if err != nil {
			return err
		}
		ctx, stop := watch(token)
		defer stop()
		return write(s, ctx, img, g, o)
	})
}

//export goSessionEvaluateMasks
func goSessionEvaluateMasks(session, dataset C.uintptr_t, source, split *C.char, token C.uintptr_t, made *C.uintptr_t, message **C.char) C.int32_t {
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
		json, err := s.EvaluateMasks(ctx, d, text(source), text(split))
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(report(json)))
		return nil
	})
}
