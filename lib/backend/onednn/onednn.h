// The steps of a compiled program. onednn.cpp is the only file that calls oneDNN.
#ifndef DSL_ONEDNN_H
#define DSL_ONEDNN_H

#include <oneapi/dnnl/dnnl.hpp>

#include <string>
#include <vector>

#include "program.h"

struct dsl_engine {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};

// One step or a part of one: a oneDNN primitive, a matrix product, or a kernel.
struct dsl_op {
    enum { PRIMITIVE, GEMM, KERNEL } type;
    int step;
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> args;
    dsl_gemm gemm;
    dsl_kernel kernel;
};

struct dsl_program {
    dsl_engine *engine;
    std::vector<dsl_op> sections[DSL_NUM_SECTIONS];
    std::vector<std::string> names; // by step
    std::vector<dnnl::memory> memories, scratchpads;
    std::vector<void *> buffers;
    size_t scratchpad_bytes = 0;
    int32_t cancel = 0;
    std::vector<double> ms; // by step, while profiling
    bool profiling = false;

    void *buffer(size_t bytes); // throws std::bad_alloc
    void push(int section, dsl_op op) { sections[section].push_back(std::move(op)); }
};

// An instruction set and the kernels for it.
struct dsl_isa {
    const char *name;
    int lanes;
    const dsl_kernel_fn *kernels;
};

const dsl_isa &current_isa();
void run_primitive(dsl_program *p, dsl_op &op);
void run_gemm(dsl_op &op);
void place_scratchpads(dsl_program *p);

// Runs f and turns what it throws into a status and dsl_last_error's words.
int guarded(const char *what, void (*f)(void *), void *arg);

#endif
