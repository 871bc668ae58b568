package driver

/*
#include <cuda.h>
// One call for each step of a capture's end, so that a failure leaves nothing behind.
static CUresult instantiate(CUstream stream, CUgraphExec *exec) {
	CUgraph graph = 0;
	CUresult r = cuStreamEndCapture(stream, &graph);
	if (r == CUDA_SUCCESS) r = cuGraphInstantiateWithFlags(exec, graph, 0);
	if (graph) cuGraphDestroy(graph);
	return r;
}
*/
import "C"

import (
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work for the GPU, which it does in order. It does not wait for the default stream.
type Stream struct{ handle cu.Stream }

// NewStream makes a stream.
func NewStream() (*Stream, error) {
	s, err := cu.MakeStream(cu.NonBlocking)
	if err != nil {
		return nil, failed(err, "making a stream")
	}
	return &Stream{s}, nil
}

func (s *Stream) c() C.CUstream { return C.CUstream(unsafe.Pointer(s.handle.C())) }

// Handle is CUDA's own handle, for libraries.
func (s *Stream) Handle() uintptr { return uintptr(unsafe.Pointer(s.handle.C())) }

// CopyIn copies from pinned memory, which must stay as it is until the copy is done.
func (s *Stream) CopyIn(dst Ptr, src unsafe.Pointer, bytes int64) error {
	return check(C.cuMemcpyHtoDAsync(C.CUdeviceptr(dst), src, C.size_t(bytes), s.c()), "copying to the GPU")
}

// CopyOut copies to pinned memory.
func (s *Stream) CopyOut(dst unsafe.Pointer, src Ptr, bytes int64) error {
	return check(C.cuMemcpyDtoHAsync(dst, C.CUdeviceptr(src), C.size_t(bytes), s.c()), "copying from the GPU")
}

// Copy copies within the GPU.
func (s *Stream) Copy(dst, src Ptr, bytes int64) error {
	return check(C.cuMemcpyDtoDAsync(C.CUdeviceptr(dst), C.CUdeviceptr(src), C.size_t(bytes), s.c()), "copying within the GPU")
}

// Zero clears memory.
func (s *Stream) Zero(dst Ptr, bytes int64) error {
	return check(C.cuMemsetD8Async(C.CUdeviceptr(dst), 0, C.size_t(bytes), s.c()), "clearing memory")
}

// Synchronize waits until all work is done, and is the place where its failures show.
func (s *Stream) Synchronize() error {
	return check(C.cuStreamSynchronize(s.c()), "waiting for the GPU")
}

// Wait makes what comes next in the stream wait for the work that the event was last recorded behind. The caller does not wait.
func (s *Stream) Wait(e *Event) error {
	return check(C.cuStreamWaitEvent(s.c(), e.handle, 0), "waiting for another stream")
}

// Close destroys the stream once its work is done.
func (s *Stream) Close() error { return failed(s.handle.Destroy(), "closing a stream") }

// BeginCapture makes the stream record what follows instead of doing it.
func (s *Stream) BeginCapture() error {
	return check(C.cuStreamBeginCapture(s.c(), C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL), "beginning a capture")
}

// EndCapture ends the recording, after a failure too, and makes a graph of it.
func (s *Stream) EndCapture() (*Graph, error) {
	g := &Graph{}
	if err := check(C.instantiate(s.c(), &g.exec), "making a graph"); err != nil {
		return nil, err
	}
	return g, nil
}

// Graph is recorded work that is launched as one piece.
type Graph struct{ exec C.CUgraphExec }

// Launch puts the work into a stream.
func (g *Graph) Launch(s *Stream) error {
	return check(C.cuGraphLaunch(g.exec, s.c()), "launching a graph")
}

// Close destroys the graph.
func (g *Graph) Close() error { return check(C.cuGraphExecDestroy(g.exec), "closing a graph") }

// Event is a point in a stream's work.
type Event struct{ handle C.CUevent }

// NewEvent makes an event that keeps the time. Waiting for it lets the thread sleep.
func NewEvent() (*Event, error) {
	e := &Event{}
	if err := check(C.cuEventCreate(&e.handle, C.CU_EVENT_BLOCKING_SYNC), "making an event"); err != nil {
		return nil, err
	}
	return e, nil
}

// Record puts the event behind the work that the stream has.
func (e *Event) Record(s *Stream) error {
	return check(C.cuEventRecord(e.handle, s.c()), "recording an event")
}

// Synchronize waits for the event; one that was never recorded is past.
func (e *Event) Synchronize() error {
	return check(C.cuEventSynchronize(e.handle), "waiting for the GPU")
}

// Since is the milliseconds between two events that are past.
func (e *Event) Since(earlier *Event) (float64, error) {
	var ms C.float
	err := check(C.cuEventElapsedTime(&ms, earlier.handle, e.handle), "time between events")
	return float64(ms), err
}

// Close destroys the event.
func (e *Event) Close() error { return check(C.cuEventDestroy(e.handle), "closing an event") }
