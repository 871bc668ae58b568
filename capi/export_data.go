package main

/*
#include "shim.h"
*/
import "C"

import (
	"math"
	"unsafe"

	"libdsl/lib/dsl"
	"libdsl/lib/errs"
	"libdsl/lib/imageio"
)

// text copies a C string; NULL is "".
func text(s *C.char) string {
	if s == nil {
		return ""
	}
	return C.GoString(s)
}

// required is text for a string that must be there.
func required(name string, s *C.char) (string, error) {
	if s == nil || *s == 0 {
		return "", errs.New(errs.Invalid, "capi: %s: got none, want a text", name)
	}
	return C.GoString(s), nil
}

// set writes to an output that must be there.
func set[T any](name string, out *T, value T) error {
	if out == nil {
		return errs.New(errs.Invalid, "capi: %s: got NULL, want a place for the result", name)
	}
	*out = value
	return nil
}

// slice is the caller's memory; NULL goes with 0 only. n counts elements.
func slice[T any](name string, p *T, n C.size_t) ([]T, error) {
	var one T
	if p == nil {
		if n != 0 {
			return nil, errs.New(errs.Invalid, "capi: %s: got NULL for %d elements", name, uint64(n))
		}
		return nil, nil
	}
	if uint64(n) > math.MaxInt64/uint64(max(unsafe.Sizeof(one), 1)) {
		return nil, errs.New(errs.Invalid, "capi: %s: got %d elements, which no memory holds", name, uint64(n))
	}
	return unsafe.Slice(p, int(n)), nil
}

//export goSetNumThreads
func goSetNumThreads(n C.int32_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error { return dsl.SetNumThreads(int(n)) })
}

//export goLiveHandles
func goLiveHandles() C.int64_t { return C.int64_t(liveHandles()) }

//export goImageLoad
func goImageLoad(path *C.char, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		name, err := required("path", path)
		if err != nil {
			return err
		}
		img, err := dsl.LoadImage(name)
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(img))
		return nil
	})
}

//export goImageFromArray
func goImageFromArray(a *C.dsl_array, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		img, err := imageFromArray(a)
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(img))
		return nil
	})
}

func imageFromArray(a *C.dsl_array) (*dsl.Image, error) {
	if a.reserved != 0 {
		return nil, errs.New(errs.AbiMismatch, "capi: dsl_array: reserved is set")
	}
	switch a.dtype {
	case C.DSL_DTYPE_U8:
		return convert[uint8](a)
	case C.DSL_DTYPE_U16:
		return convert[uint16](a)
	case C.DSL_DTYPE_F32:
		return convert[float32](a)
	}
	return nil, errs.New(errs.Invalid, "capi: dsl_array: got dtype %d, want DSL_DTYPE_U8, _U16 or _F32", a.dtype)
}

// convert reads the caller's memory, whose alignment it checks, and no further than data_size_bytes.
func convert[T uint8 | uint16 | float32](a *C.dsl_array) (*dsl.Image, error) {
	var one T
	size := int64(unsafe.Sizeof(one))
	if a.data == nil {
		return nil, errs.New(errs.Invalid, "capi: dsl_array: got NULL data")
	}
	if uintptr(a.data)%uintptr(size) != 0 || int64(a.row_stride_bytes)%size != 0 {
		return nil, errs.New(errs.Invalid, "capi: dsl_array: data and row_stride_bytes (%d) must be multiples of the element's %d bytes",
			int64(a.row_stride_bytes), size)
	}
	if a.data_size_bytes > math.MaxInt64 {
		return nil, errs.New(errs.Invalid, "capi: dsl_array: got data_size_bytes %d, which no memory holds", uint64(a.data_size_bytes))
	}
	pix := unsafe.Slice((*T)(a.data), int(int64(a.data_size_bytes)/size))
	layout := imageio.Layout{Height: int(a.height), Width: int(a.width), Channels: int(a.channels), Stride: int(int64(a.row_stride_bytes) / size)}
	return dsl.NewImage(pix, layout, imageio.Window{Lo: float32(a.window_low), Hi: float32(a.window_high)})
}

//export goImageSize
func goImageSize(image C.uintptr_t, height, width *C.int32_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		img, err := use[*dsl.Image](c, uintptr(image))
		if err != nil {
			return err
		}
		h, w := dsl.OriginalSize(img)
		return setSize(height, width, h, w)
	})
}

func setSize(height, width *C.int32_t, h, w int) error {
	if height == nil || width == nil {
		return errs.New(errs.Invalid, "capi: out_height, out_width: got NULL, want places for the results")
	}
	*height, *width = C.int32_t(h), C.int32_t(w)
	return nil
}

//export goImagePixels
func goImagePixels(image C.uintptr_t, out *C.uint8_t, capacity C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		img, err := use[*dsl.Image](c, uintptr(image))
		if err != nil {
			return err
		}
		pixels, err := slice("out_pixels", (*uint8)(out), capacity)
		if err != nil {
			return err
		}
		return dsl.OriginalPixels(img, pixels)
	})
}

//export goImageFree
func goImageFree(image C.uintptr_t) { drop[*dsl.Image](image) }

// drop frees a handle that holds nothing but memory. A bad one is left alone: free has no status.
func drop[T any](h C.uintptr_t) { _, _, _ = remove[T](uintptr(h)) }

// closeHandle frees a handle whose object has something to close.
func closeHandle[T interface{ Close() error }](h C.uintptr_t) {
	object, ok, _ := remove[T](uintptr(h))
	if !ok {
		return
	}
	var message *C.char
	if status := guard(&message, func(*call) error { return object.Close() }); status != C.DSL_STATUS_OK {
		C.shim_finish(status, message) // free has no status; the thread's message says what went wrong
	}
}

//export goDatasetOpen
func goDatasetOpen(path *C.char, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		name, err := required("path", path)
		if err != nil {
			return err
		}
		d, err := dsl.OpenDataset(name)
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(d))
		return nil
	})
}

//export goDatasetOpenLists
func goDatasetOpenLists(train, test, folder *C.char, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		paths := [3]string{}
		for i, p := range []struct {
			name string
			path *C.char
		}{{"train_list", train}, {"test_list", test}, {"folder", folder}} {
			var err error
			if paths[i], err = required(p.name, p.path); err != nil {
				return err
			}
		}
		d, err := dsl.OpenDatasetLists(paths[0], paths[1], paths[2])
		if err != nil {
			return err
		}
		*made = C.uintptr_t(create(d))
		return nil
	})
}

//export goDatasetManifest
func goDatasetManifest(dataset C.uintptr_t, out *C.char, capacity C.size_t, needed *C.size_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		text, err := d.Manifest()
		if err != nil {
			return err
		}
		return setText(text, out, capacity, needed)
	})
}

//export goDatasetCreate
func goDatasetCreate(_ C.int32_t, made *C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		*made = C.uintptr_t(create(dsl.NewDataset()))
		return nil
	})
}

//export goDatasetAdd
func goDatasetAdd(dataset, image C.uintptr_t, label C.int64_t, split, group *C.char, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		img, err := use[*dsl.Image](c, uintptr(image))
		if err != nil {
			return err
		}
		return d.Add(dsl.Sample{Image: img, Label: int64(label), Split: text(split), Group: text(group)})
	})
}

//export goDatasetSetMask
func goDatasetSetMask(dataset C.uintptr_t, index C.int64_t, mask C.uintptr_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		m, err := use[*dsl.Image](c, uintptr(mask))
		if err != nil {
			return err
		}
		return d.SetMask(int(index), m)
	})
}

//export goDatasetSetClassName
func goDatasetSetClassName(dataset C.uintptr_t, label C.int64_t, name *C.char, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		n, err := required("name", name)
		if err != nil {
			return err
		}
		return d.SetClassName(int64(label), n)
	})
}

//export goDatasetSize
func goDatasetSize(dataset C.uintptr_t, split *C.char, out *C.int64_t, message **C.char) C.int32_t {
	return guard(message, func(c *call) error {
		d, err := use[*dsl.Dataset](c, uintptr(dataset))
		if err != nil {
			return err
		}
		n, err := d.Size(text(split))
		if err != nil {
			return err
		}
		return set("out_num_images", out, C.int64_t(n))
	})
}

//export goDatasetFree
func goDatasetFree(dataset C.uintptr_t) { drop[*dsl.Dataset](dataset) }
