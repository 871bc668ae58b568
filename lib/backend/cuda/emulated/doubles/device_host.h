// The device's side of a kernel, for the host's compiler: what device.h needs in place of CUDA's built-ins.
#pragma once

namespace emulated {

// The thread that runs. Kernels run under one lock, one thread at a time.
struct place {
    int thread;
    unsigned block_x, block_y, grid_x, grid_y;
    bool cooperating, misused;
};
extern place here;

void barrier();
float exchange(float v, int mask); // the value of lane (lane ^ mask) of the warp

} // namespace emulated
