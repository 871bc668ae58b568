// Kernels with faults, for the tests of the emulated driver.
#include "../../kernels/device.h"

// Writes behind the end, or far from any memory.
KERNEL(faulty_store, float *y, i64 at) { y[at] = 1; }

// The first lanes of a warp wait for the others, which have left.
BLOCK_KERNEL(faulty_half_warp, float *y) {
    if (thread_id() % WARP < WARP / 2) y[thread_id()] = sum_warp(1);
}

// Threads meet although they were declared not to.
KERNEL(faulty_meeting, float *y) {
    meet();
    y[thread_id()] = 1;
}

// Reads what another thread may not have written yet; right with a meeting in between.
DEV void reverse(float *y, bool wait) {
    SHARED float room[BLOCK];
    room[thread_id()] = (float)thread_id();
    if (wait) meet();
    y[thread_id()] = room[BLOCK - 1 - thread_id()];
}
BLOCK_KERNEL(faulty_race, float *y) { reverse(y, false); }
BLOCK_KERNEL(faultless_meeting, float *y) { reverse(y, true); }
