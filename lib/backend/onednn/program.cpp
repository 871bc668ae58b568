// Engines, memory and the loop that runs a program's steps.
#include "onednn.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <new>

static thread_local char last_error[512];

const char *dsl_last_error(void) { return last_error; }

static int fail(int status, const char *what, const char *why) {
    snprintf(last_error, sizeof last_error, "%s: %s", what, why);
    return status;
}

int guarded(const char *what, void (*f)(void *), void *arg) {
    try {
        f(arg);
        return DSL_OK;
    } catch (const dnnl::error &e) {
        int status = e.status == dnnl_out_of_memory ? DSL_NO_MEMORY : e.status == dnnl_unimplemented ? DSL_UNSUPPORTED : DSL_FAILED;
        return fail(status, what, e.what());
    } catch (const std::bad_alloc &) {
        return fail(DSL_NO_MEMORY, what, "out of memory");
    } catch (const std::exception &e) {
        return fail(DSL_FAILED, what, e.what());
    } catch (...) {
        return fail(DSL_FAILED, what, "unknown exception");
    }
}

void *dsl_alloc(size_t bytes) {
    const size_t huge = 2 << 20, align = bytes >= huge ? huge : 64;
    const size_t size = (bytes + align - 1) / align * align;
    if (size < bytes) return nullptr;
    void *p = aligned_alloc(align, size ? size : align);
    if (p && align == huge) madvise(p, size, MADV_HUGEPAGE);
    return p;
}

void dsl_free(void *p) { free(p); }

static void flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); // FTZ and DAZ
#endif
}

int dsl_engine_new(int threads, dsl_engine **out) {
    return guard("onednn: executor", [=] {
        omp_set_dynamic(0);
        omp_set_num_threads(threads > 0 ? threads : omp_get_num_procs());
        flush_denormals();
#pragma omp parallel
        flush_denormals();
        *out = new dsl_engine();
    });
}

void dsl_engine_free(dsl_engine *e) {
    delete e;
    omp_pause_resource_all(omp_pause_hard); // ends the team's threads
}

void *dsl_program::block(size_t bytes) {
    void *p = dsl_alloc(bytes);
    if (!p) throw std::bad_alloc();
    blocks.push_back(p);
    return p;
}

// Small buffers are cut from blocks that double in size, so that most of their bytes lie in large pages. A large one is a block of its own.
void *dsl_program::buffer(size_t bytes) {
    const size_t line = 64, large = 4 << 20;
    bytes = (bytes + line - 1) / line * line;
    if (bytes >= large) return block(bytes);
    if (bytes > block_left) {
        block_left = std::max(bytes, std::min(block_bytes, large));
        block_next = (char *)block(block_left);
        block_bytes += block_left;
    }
    void *p = block_next;
    block_next += bytes, block_left -= bytes;
    return p;
}

void dsl_program::push_kernel(int section, int step, const dsl_kernel &k) {
    dsl_op op = {};
    op.type = dsl_op::KERNEL, op.step = step, op.kernel = k;
    push(section, std::move(op));
    std::string &name = names[(size_t)step];
    if (name.empty()) name = std::string("own:") + current_isa().name;
}

void dsl_program::push_pack(int step, std::function<void()> pack) {
    dsl_op op = {};
    op.type = dsl_op::PACK, op.step = step, op.pack = std::move(pack);
    push(DSL_SETUP, std::move(op));
}

int dsl_program_new(dsl_engine *e, int steps, dsl_program **out) {
    return guard("onednn: program", [=] {
        *out = new dsl_program();
        (*out)->engine = e;
        (*out)->names.resize((size_t)steps);
        (*out)->ms.resize((size_t)steps);
    });
}

void dsl_program_free(dsl_program *p) {
    if (!p) return;
    for (void *b : p->blocks) dsl_free(b);
    delete p;
}

int dsl_program_kernel(dsl_program *p, int section, int step, const dsl_kernel *k) {
    return guard("onednn: kernel", [=] { p->push_kernel(section, step, *k); });
}

int dsl_program_gemm(dsl_program *p, const dsl_gemm *g) {
    return guard("onednn: matrix product", [=] {
        dsl_op op = {};
        op.type = dsl_op::GEMM, op.step = g->step, op.gemm = *g;
        p->push(g->section, std::move(op));
        p->names[(size_t)g->step] = "sgemm";
    });
}

// What kernels keep while they run: BatchNorm's doubles, two per plane and lane and three per block and lane, and the rows of each thread's stem.
static size_t work_bytes(const dsl_kernel &k) {
    if (k.kind == DSL_STEM) return (size_t)omp_get_max_threads() * (size_t)dsl_stem_layout(&k).bytes;
    if (k.kind != DSL_BATCH_NORM && k.kind != DSL_BATCH_NORM_GRAD) return 0;
    size_t blocks = (size_t)(k.c + k.lanes - 1) / (size_t)k.lanes;
    return ((size_t)k.n * 2 + 3) * blocks * (size_t)k.lanes * sizeof(double);
}

int dsl_program_finish(dsl_program *p) {
    return guard("onednn: program", [=] {
        size_t bytes = 0;
        for (auto &section : p->sections)
            for (dsl_op &op : section)
                if (op.type == dsl_op::KERNEL && work_bytes(op.kernel) > bytes) bytes = work_bytes(op.kernel);
        double *work = (double *)p->buffer(bytes);
        for (auto &section : p->sections)
            for (dsl_op &op : section) op.kernel.work = work;
        p->scratchpads.place(p->buffer(p->scratchpads.bytes));
    });
}

static void run_op(dsl_program *p, dsl_op &op, const dsl_kernel_fn *table, const dsl_args *a) {
    switch (op.type) {
    case dsl_op::PRIMITIVE: run_primitive(p, op); break;
    case dsl_op::GEMM: run_gemm(op); break;
    case dsl_op::PACK: op.pack(); break;
    case dsl_op::KERNEL: table[op.kernel.kind](&op.kernel, a); break;
    }
}

int dsl_program_run(dsl_program *p, int from, int to, const dsl_args *a) {
    bool cancelled = false;
    int status = guard("onednn: run", [&] {
        using clock = std::chrono::steady_clock;
        const dsl_kernel_fn *table = current_isa().kernels;
        for (int s = from; s <= to; s++) {
            for (dsl_op &op : p->sections[s]) {
                // Once the first update has run, all of them do.
                if ((s != DSL_UPDATE || &op == &p->sections[s][0]) && __atomic_load_n(&p->cancel, __ATOMIC_RELAXED)) {
                    cancelled = true;
                    return;
                }
                const clock::time_point start = p->profiling ? clock::now() : clock::time_point();
                run_op(p, op, table, a);
                if (p->profiling) p->ms[(size_t)op.step] += std::chrono::duration<double, std::milli>(clock::now() - start).count();
            }
        }
    });
    return cancelled ? (int)DSL_CANCELLED : status;
}

int32_t *dsl_program_cancel(dsl_program *p) { return &p->cancel; }

const char *dsl_program_kernel_name(dsl_program *p, int step) { return p->names[(size_t)step].c_str(); }

double *dsl_program_profile(dsl_program *p, int on) {
    if (on) p->ms.assign(p->ms.size(), 0);
    p->profiling = on;
    return p->ms.data();
}
