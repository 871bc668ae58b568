package cuda

import (
	"fmt"

	"libdsl/lib/backend/cuda/driver"
	"libdsl/lib/backend/cuda/nvlib"
)

// Description is what is known of a GPU.
type Description struct {
	Name              string
	ComputeCapability string
	TotalMemory       int64
	FreeMemory        int64
	Driver            string
	CuDNN             string
	CuBLAS            string
}

// Count is the number of GPUs. Errors: Device with the reason when none can be used, because of the driver or because libraries are missing.
func Count() (int, error) {
	info, err := driver.Open()
	if err != nil {
		return 0, err
	}
	if _, err := nvlib.Open(info.Version); err != nil {
		return 0, err
	}
	return info.Devices, nil
}

// Describe opens a GPU. Errors: Device.
func Describe(ordinal int) (Description, error) {
	d, err := openDevice(ordinal)
	if err != nil {
		return Description{}, err
	}
	info, err := driver.Open()
	if err != nil {
		return Description{}, err
	}
	libs, err := nvlib.Open(info.Version)
	if err != nil {
		return Description{}, err
	}
	out := Description{Name: d.props.Name, ComputeCapability: fmt.Sprintf("%d.%d", d.props.Major, d.props.Minor), TotalMemory: d.props.TotalBytes,
		Driver: fmt.Sprintf("%d.%d", info.Version/1000, info.Version%1000/10), CuDNN: libs.CUDNN.Version, CuBLAS: libs.CUBLAS.Version}
	err = d.do(func() error {
		var err error
		out.FreeMemory, _, err = driver.MemInfo()
		return err
	})
	return out, err
}

// AddLibraryDir names a folder in which cuDNN and cuBLAS are looked for, before the first GPU is opened.
func AddLibraryDir(dir string) { nvlib.AddDir(dir) }
