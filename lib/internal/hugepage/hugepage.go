// Package hugepage makes large slices whose memory the system may back with large pages, on Go's heap or beside it.
//
// A first write to memory costs one page fault for every page: 0.3 to 20 µs for 4 KiB, most on virtual machines. A model's weights are 10,000 such pages or
// 20 of 2 MiB.
package hugepage

import (
	"syscall"
	"unsafe"
)

// size is that of a large page on x86-64 and, with pages of 4 KiB, on ARM64.
const size = 2 << 20

// Floats is make([]float32, n).
func Floats(n int) []float32 {
	s := make([]float32, n)
	first := unsafe.Pointer(unsafe.SliceData(s))
	bytes := uintptr(n) * unsafe.Sizeof(s[0])
	skip := -uintptr(first) & (size - 1) // to where a large page may begin
	if bytes >= skip+size {
		advise(unsafe.Slice((*byte)(unsafe.Add(first, skip)), (bytes-skip)&^(size-1)))
	}
	return s
}

// Map is make([]byte, n) beside Go's heap: release gives its memory back to the system at once. Nobody may use the bytes after that. Errors: the system's, when it
// has no memory.
func Map(n int) (bytes []byte, release func(), err error) {
	if n == 0 {
		return nil, func() {}, nil
	}
	bytes, err = syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	advise(bytes)
	return bytes, func() { _ = syscall.Munmap(bytes) }, nil // it fails only for what is not mapped
}

// advise asks for large pages: a system that has none says no, and the memory is as good without.
func advise(pages []byte) { _ = syscall.Madvise(pages, madvHugepage) }

// madvHugepage is MADV_HUGEPAGE of Linux, which package syscall has no name for.
const madvHugepage = 14
