// Runs kernels: threads that never meet as a plain loop, threads of a block that meet as fibers. Blocks and threads run in an order
// that changes from launch to launch, so that one that relies on an order shows.
#include <sys/mman.h>
#include <algorithm>
#include <cstring>
#include <numeric>
#include "device_host.h"
#include "kernel.h"
#if !defined(__x86_64__) || defined(EMULATED_UCONTEXT)
#include <ucontext.h>
#endif

namespace emulated {

std::map<std::string, kernel> &kernels() {
    static std::map<std::string, kernel> all;
    return all;
}

place here;

// ---- switching between stacks ----

constexpr size_t STACK_BYTES = 64 << 10;

#if defined(__x86_64__) && !defined(EMULATED_UCONTEXT)

// Saves the registers that a call keeps and the stack pointer, and goes on from another saved stack pointer.
extern "C" void emulated_switch(void **save, void *load);
__asm__(".text\n.globl emulated_switch\n.hidden emulated_switch\n.type emulated_switch,@function\nemulated_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n.size emulated_switch,.-emulated_switch\n");

struct machine {
    void *stack_pointer;
    void prepare(char *stack, void (*entry)()) {
        void **top = (void **)(stack + STACK_BYTES) - 2; // 16-byte aligned, so that the entry sees the stack as after a call
        top[0] = (void *)entry;
        memset(top - 6, 0, 6 * sizeof *top);
        stack_pointer = top - 6;
    }
};
static void change(machine &from, machine &to) { emulated_switch(&from.stack_pointer, to.stack_pointer); }

#else

struct machine {
    ucontext_t context;
    void prepare(char *stack, void (*entry)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = STACK_BYTES;
        context.uc_link = nullptr;
        makecontext(&context, entry, 0);
    }
};
static void change(machine &from, machine &to) { swapcontext(&from.context, &to.context); }

#endif

// ---- the fibers of one block ----

enum state { READY, AT_BARRIER, AT_WARP, DONE };
constexpr int WARP = 32, WARPS = BLOCK_THREADS / WARP;

struct fiber {
    machine m;
    state is;
};

static fiber fibers[BLOCK_THREADS];
static machine scheduler;
static int running_fiber, live, at_barrier, at_warp[WARPS];
static float slots[BLOCK_THREADS];
static const kernel *block_kernel;
static const word *block_args;

static void leave(state s) {
    fiber &f = fibers[running_fiber];
    f.is = s;
    change(f.m, scheduler);
}

static void release(int from, int to, state waiting) {
    for (int t = from; t < to; t++)
        if (fibers[t].is == waiting) fibers[t].is = READY;
}

// A thread that runs alone must not wait for others.
static bool alone() { return here.misused |= !here.cooperating; }

void barrier() {
    if (alone()) return;
    if (++at_barrier == live) {
        at_barrier = 0;
        release(0, BLOCK_THREADS, AT_BARRIER);
        return;
    }
    leave(AT_BARRIER);
}

// Waits until all lanes of the warp are here.
static void meet_warp() {
    int w = running_fiber / WARP;
    if (++at_warp[w] == WARP) {
        at_warp[w] = 0;
        release(w * WARP, (w + 1) * WARP, AT_WARP);
        return;
    }
    leave(AT_WARP);
}

float exchange(float v, int mask) {
    if (alone()) return v;
    slots[running_fiber] = v;
    meet_warp();
    float other = slots[running_fiber ^ mask];
    meet_warp();
    return other;
}

static void fiber_entry() {
    block_kernel->call(block_kernel->code, block_args);
    live--;
    if (live && at_barrier == live) { // those who wait need not wait for this thread
        at_barrier = 0;
        release(0, BLOCK_THREADS, AT_BARRIER);
    }
    leave(DONE);
}

static char *stacks() {
    static char *all = (char *)mmap(nullptr, STACK_BYTES * BLOCK_THREADS, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return all;
}

static std::string where_they_wait() {
    int barrier = 0, warp = 0;
    for (fiber &f : fibers) barrier += f.is == AT_BARRIER, warp += f.is == AT_WARP;
    return std::to_string(barrier) + " threads wait at a barrier and " + std::to_string(warp) + " at a warp exchange that others never reach";
}

// All variables in shared memory, which nobody has set when a block begins: not a number in any type.
extern "C" char __start_shared_memory[], __stop_shared_memory[];
static void forget_shared() { memset(__start_shared_memory, 0xFF, (size_t)(__stop_shared_memory - __start_shared_memory)); }

static bool run_cooperating(const int *order, std::string &why) {
    forget_shared();
    live = BLOCK_THREADS;
    at_barrier = 0;
    memset(at_warp, 0, sizeof at_warp);
    for (int t = 0; t < BLOCK_THREADS; t++) {
        fibers[t].m.prepare(stacks() + t * STACK_BYTES, fiber_entry);
        fibers[t].is = READY;
    }
    for (bool moved = true; live && moved;) {
        moved = false;
        for (int i = 0; i < BLOCK_THREADS; i++) {
            fiber &f = fibers[order[i]];
            if (f.is != READY) continue;
            moved = true;
            running_fiber = here.thread = order[i];
            change(scheduler, f.m);
        }
    }
    if (live) why = where_they_wait();
    return !live;
}

// ---- grids ----

static unsigned long long next_random(unsigned long long &s) {
    unsigned long long z = s += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
}

static void shuffle(int *order, unsigned long long seed) {
    std::iota(order, order + BLOCK_THREADS, 0);
    for (int i = BLOCK_THREADS - 1; i > 0; i--) std::swap(order[i], order[next_random(seed) % (unsigned)(i + 1)]);
}

bool run_grid(const kernel &k, unsigned grid_x, unsigned grid_y, const word *args, unsigned long long seed, std::string &why) {
    int order[BLOCK_THREADS];
    shuffle(order, seed);
    block_kernel = &k;
    block_args = args;
    here.grid_x = grid_x, here.grid_y = grid_y;
    here.cooperating = k.cooperates;
    here.misused = false;
    unsigned long long blocks = (unsigned long long)grid_x * grid_y, first = next_random(seed) % blocks;
    for (unsigned long long b = 0; b < blocks; b++) {
        unsigned long long at = (first + b) % blocks;
        here.block_x = (unsigned)(at % grid_x), here.block_y = (unsigned)(at / grid_x);
        if (k.cooperates) {
            if (!run_cooperating(order, why)) return false;
            continue;
        }
        for (int t : order) {
            here.thread = t;
            k.call(k.code, args);
        }
    }
    if (here.misused) why = "its threads meet, but it is declared by KERNEL, not BLOCK_KERNEL";
    return !here.misused;
}

} // namespace emulated
