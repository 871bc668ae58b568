package imagetest

// #cgo CFLAGS: -std=gnu11 -Wall -Wextra
// #cgo LDFLAGS: -ljpeg
// #include <stdlib.h>
// #include "encode.h"
import "C"

import (
	"testing"
	"unsafe"
)

// Encoding is how Encode writes a JPEG file.
type Encoding struct {
	Channels     int // 1: gray, 3: colour, 4: CMYK
	Across, Down int // luma samples to one of chroma; 2, 2 is 4:2:0
	Progressive  bool
	Arithmetic   bool // arithmetic coding instead of Huffman's
	Restart      int  // MCUs between restart markers; 0: none
}

// Encode is pix, [height, width, e.Channels], as a JPEG file of quality 90, in what Go's encoder does not write.
func Encode(t testing.TB, pix []uint8, width, height int, e Encoding) []byte {
	t.Helper()
	if width < 1 || height < 1 || len(pix) != width*height*e.Channels {
		t.Fatalf("imagetest: got %d samples, want %d×%d×%d", len(pix), height, width, e.Channels)
	}
	how := C.dsl_encoding{width: C.int(width), height: C.int(height), channels: C.int(e.Channels), across: C.int(e.Across), down: C.int(e.Down),
		quality: 90, restart: C.int(e.Restart)}
	if e.Progressive {
		how.progressive = 1
	}
	if e.Arithmetic {
		how.arithmetic = 1
	}
	var n C.ulong
	data := C.dsl_encode((*C.uchar)(unsafe.Pointer(&pix[0])), how, &n)
	defer C.free(unsafe.Pointer(data))
	return C.GoBytes(unsafe.Pointer(data), C.int(n))
}
