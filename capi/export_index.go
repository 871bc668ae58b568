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

// modelOrNone is the model of a handle that may be NULL.
func modelOrNone(c *call, h C.uintptr_t) (*dsl.Model, error) {
	if h == 0 {
		return nil, nil
	}
	return use[*dsl.Model](c, uintptr(h))
}

//export goIndexCreate
func goIndexCreate(model C.uintptr_t, dim C.int32_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		m, err := modelOrNone(c, model)
		if err != nil {
			return err
		}
		x, err := dsl.NewIndex(m, int(dim))
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(x))
		return nil
	})
}

//export goIndexLoad
func goIndexLoad(path *C.char, model C.uintptr_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		name, err := required("path", path)
		if err != nil {
			return err
		}
		m, err := modelOrNone(c, model)
		if err != nil {
			return err
		}
		x, err := dsl.LoadIndex(name, m)
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(x))
		return nil
	})
}

//export goIndexSave
func goIndexSave(index C.uintptr_t, path *C.char, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		name, err := required("path", path)
		if err != nil {
			return err
		}
		return x.Write(name)
	})
}

//export goIndexAdd
func goIndexAdd(index C.uintptr_t, embeddings *C.float, n C.size_t, ids **C.char, numbers, labels *C.int64_t, groups **C.char, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		var it dsl.Items
		if it.Embeddings, err = matrix("embeddings", embeddings, n, x.Dim()); err != nil {
			return err
		}
		it.IDs = dsl.IDs{Texts: texts(ids, n), Numbers: perRow[int64](unsafe.Pointer(numbers), n)}
		it.Labels, it.Groups = perRow[int64](unsafe.Pointer(labels), n), texts(groups, n)
		return x.Add(it)
	})
}

//export goIndexSearch
func goIndexSearch(index C.uintptr_t, queries *C.float, n C.size_t, k C.int32_t, o *C.dsl_search_options, token C.uintptr_t, rows *C.int64_t,
	similarities *C.float, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		q, err := matrix("queries", queries, n, x.Dim())
		if err != nil {
			return err
		}
		r, err := slice("out_rows", (*int64)(rows), capacity)
		if err != nil {
			return err
		}
		s, err := slice("out_similarities", (*float32)(similarities), capacity)
		if err != nil {
			return err
		}
		opt := dsl.SearchOptions{IDs: dsl.IDs{Texts: texts(o.exclude_ids, n), Numbers: perRow[int64](unsafe.Pointer(o.exclude_int_ids), n)},
			Groups: texts(o.exclude_groups, n), Threads: int(o.threads), Device: text(o.device)}
		if o.learner != nil {
			learner := int(*o.learner)
			opt.Learner = &learner
		}
		ctx, stop := watch(token)
		defer stop()
		return x.Search(ctx, q, int(k), opt, r, s)
	})
}

//export goIndexCheckModel
func goIndexCheckModel(index, model C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		m, err := use[*dsl.Model](c, uintptr(model))
		if err != nil {
			return err
		}
		return x.CheckModel(m)
	})
}

//export goIndexSize
func goIndexSize(index C.uintptr_t, out *C.int64_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		return set("out_num_rows", out, C.int64_t(x.Len()))
	})
}

//export goIndexItem
func goIndexItem(index C.uintptr_t, row C.int64_t, id *C.char, idCapacity C.size_t, group *C.char, groupCapacity C.size_t, label *C.int64_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		it, err := x.Item(int(row))
		if err != nil {
			return err
		}
		idText, err := slice("out_id", (*uint8)(unsafe.Pointer(id)), idCapacity)
		if err != nil {
			return err
		}
		groupText, err := slice("out_group", (*uint8)(unsafe.Pointer(group)), groupCapacity)
		if err != nil {
			return err
		}
		if id != nil && len(it.ID) >= len(idText) || group != nil && len(it.Group) >= len(groupText) {
			return errs.New(errs.BufferTooSmall, "capi: index item: got room for %d and %d chars, want DSL_INDEX_TEXT_SIZE for each", len(idText), len(groupText))
		}
		for _, s := range []struct {
			to   []uint8
			text string
		}{{idText, it.ID}, {groupText, it.Group}} {
			if len(s.to) > 0 {
				s.to[copy(s.to, s.text)] = 0
			}
		}
		if label != nil {
			*label = C.int64_t(it.Label)
		}
		return nil
	})
}

//export goIndexInfo
func goIndexInfo(index C.uintptr_t, out *C.char, capacity C.size_t, needed *C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		x, err := use[*dsl.Index](c, uintptr(index))
		if err != nil {
			return err
		}
		json, err := x.Info()
		if err != nil {
			return err
		}
		return setText(json, out, capacity, needed)
	})
}

//export goIndexFree
func goIndexFree(index C.uintptr_t) { closeHandle[*dsl.Index](index) }

//export goCluster
func goCluster(embeddings *C.float, n C.size_t, dim, k C.int32_t, o *C.dsl_cluster_options, token C.uintptr_t, assignment *C.int32_t, capacity C.size_t,
	centres *C.float, centresCapacity C.size_t, inertia *C.double, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		if dim < 1 {
			return errs.New(errs.Invalid, "capi: embedding_dim: got %d, want 1 or more", int(dim))
		}
		x, err := matrix("embeddings", embeddings, n, int(dim))
		if err != nil {
			return err
		}
		a, err := slice("out_assignment", (*int32)(assignment), capacity)
		if err != nil {
			return err
		}
		m, err := slice("out_centres", (*float32)(centres), centresCapacity)
		if err != nil {
			return err
		}
		if uint64(len(a)) < uint64(n) || m != nil && k > 0 && int64(len(m)) < int64(k)*int64(dim) {
			return errs.New(errs.BufferTooSmall, "capi: cluster: got room for %d rows and %d numbers of centres, want %d and %d or none",
				len(a), len(m), uint64(n), int64(k)*int64(dim))
		}
		ctx, stop := watch(token)
		defer stop()
		found, err := dsl.Cluster(ctx, x, int(dim), int(k), dsl.ClusterOptions{Restarts: int(o.restarts), MaxIterations: int(o.max_iterations),
			Seed: uint64(o.seed), Threads: int(o.threads), Device: text(o.device)})
		if err != nil {
			return err
		}
		for i, v := range found.Assignment {
			a[i] = int32(v)
		}
		if m != nil {
			for i, v := range found.Centres {
				m[i] = float32(v)
			}
		}
		if inertia != nil {
			*inertia = C.double(found.Inertia)
		}
		return nil
	})
}

// matrix is n rows of the caller's memory.
func matrix(name string, p *C.float, n C.size_t, dim int) ([]float32, error) {
	const most = 1 << 40 // numbers; no memory holds more
	if uint64(n) > most/uint64(dim) {
		return nil, errs.New(errs.Invalid, "capi: %s: got %d rows, which no memory holds", name, uint64(n))
	}
	return slice(name, (*float32)(p), n*C.size_t(dim))
}

// perRow is n values of the caller's, nil for NULL.
func perRow[T any](p unsafe.Pointer, n C.size_t) []T {
	if p == nil {
		return nil
	}
	return unsafe.Slice((*T)(p), int(n))
}

// texts copies n strings of the caller's, nil for NULL; a NULL among them is "".
func texts(p **C.char, n C.size_t) []string {
	list := perRow[*C.char](unsafe.Pointer(p), n)
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}
