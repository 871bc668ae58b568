// Package kernels holds the CUDA backend's own kernels: everything that is neither a convolution nor a matrix product.
//
// They are written in CUDA C++ (*.cu, over device.h), which generate.sh compiles to PTX, a text that the driver compiles for its GPU. The PTX is
// committed; the same sources, compiled as C++, run in the emulated driver of the tests. kernels.md lists every kernel with its parameters and grid.
package kernels

import (
	"embed"
	"fmt"

	"libdsl/lib/errs"
)

//go:embed ptx/sm_70.ptx ptx/sm_80.ptx
var files embed.FS

// PTX is the text for a GPU of this compute capability, ended by a zero byte as the driver wants it, and its name. sm_80 rounds to bfloat16 in
// hardware. Errors: Unsupported below 7.0.
func PTX(major, minor int) (text []byte, name string, err error) {
	switch {
	case major >= 8:
		name = "sm_80"
	case major == 7:
		name = "sm_70"
	default:
		return nil, "", errs.New(errs.Unsupported, "cuda: the GPU has compute capability %d.%d, want 7.0 (Volta) or newer", major, minor)
	}
	text, err = files.ReadFile("ptx/" + name + ".ptx")
	if err != nil {
		return nil, "", errs.Wrap(errs.Internal, err, "cuda: kernels for %s", name)
	}
	return append(text, 0), name, nil
}

// Threads is the number of threads of every block.
const Threads = 256

const (
	packBytes     = 16   // of an access
	warp          = 32   // the widest block, in packs
	rowsPerThread = 4    // at least, where there are so many
	mostBlocks    = 1024 // of a grid over rows: about what the largest GPU runs at once
)

// RowGrid is the grid of kernels over rows of c channels of elements of so many bytes (4, or 2 for bfloat16). It depends on the shape alone, and
// with it the order of the sums: x parts of the rows, y groups of channels.
func RowGrid(rows, c, elementBytes int) (x, y int) {
	packs := c
	if w := packBytes / elementBytes; c%w == 0 {
		packs = c / w
	}
	across := 1
	for across < warp && across < packs {
		across *= 2
	}
	y = min(divideUp(packs, across), mostBlocks)
	down := Threads / across
	x = max(1, min(divideUp(rows, down*rowsPerThread), mostBlocks/y))
	return x, y
}

// finishChannels is the number of channels that a block of a "final" kernel sums.
const finishChannels = 8

// FinalGrid is the grid of the kernels that sum the parts of c channels.
func FinalGrid(c int) int { return divideUp(c, finishChannels) }

// TileSide is the side of the part of a distance tile that a block computes.
const TileSide = 64

// Parts is the number of parts of n rows that blocks assign to centres, at most limit.
func Parts(n int, limit int64) int {
	const rowsPerPart = 64 // at least: of a block's eight warps, each takes eight rows or more
	return int(max(1, min(int64(divideUp(n, rowsPerPart)), mostBlocks, limit)))
}

func divideUp(a, b int) int { return (a + b - 1) / b }

// Name is the kernel of that name for elements of so many bytes.
func Name(kernel string, elementBytes int) string {
	if elementBytes == 2 {
		return fmt.Sprintf("%s_bf16", kernel)
	}
	return fmt.Sprintf("%s_f32", kernel)
}
