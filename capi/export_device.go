package main

/*
#include "shim.h"
*/
import "C"

import "libdsl/lib/dsl"

//export goDeviceCount
func goDeviceCount(out *C.int32_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error { return set("out_num_devices", out, C.int32_t(dsl.CountGPUs())) })
}

//export goDeviceInfo
func goDeviceInfo(device C.int32_t, out *C.char, capacity C.size_t, needed *C.size_t, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		json, err := dsl.DescribeGPU(int(device))
		if err != nil {
			return err
		}
		return setText(json, out, capacity, needed)
	})
}

//export goAddLibraryDir
func goAddLibraryDir(folder *C.char, message **C.char) C.int32_t {
	return guard(message, func(*call) error {
		name, err := required("folder", folder)
		if err != nil {
			return err
		}
		dsl.AddLibraryDir(name)
		return nil
	})
}
