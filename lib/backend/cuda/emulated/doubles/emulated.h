// What the emulated libcuda.so.1 offers to the other doubles (cuDNN, cuBLAS), which link against it. Results are CUresult numbers.
#pragma once
#include <cstddef>

extern "C" {

// Queues run(args) on a stream, in order with everything else there; it happens when the stream is synchronised. The args are copied. A
// stream that is being captured puts it into the graph, so that run may be called many times. The name is for messages.
int emulated_enqueue(void *stream, const char *name, void (*run)(const void *args), const void *args, size_t bytes);

// Whether the bytes lie inside one allocation of device memory.
bool emulated_inside(const void *device, size_t bytes);

// Adds to the number of live handles of a kind ("cudnn handle"); Live in Go reads it.
void emulated_count(const char *kind, int change);

// Notes a misuse that the real library would punish, perhaps silently; Problems in Go reads it.
void emulated_problem(const char *text);

// 0 when the calling thread may use CUDA now; otherwise the result to return, noted as a problem in the name of the given call.
int emulated_enter(const char *call);
}
