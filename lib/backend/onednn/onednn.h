// The steps of a compiled program. onednn.cpp and int8.cpp are the only files that call oneDNN.
#ifndef DSL_ONEDNN_H
#define DSL_ONEDNN_H

#include <oneapi/dnnl/dnnl.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "program.h"

struct dsl_engine {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};

// One step or a part of one: a oneDNN primitive, a matrix product, a kernel, or packing: what int8 makes of weights in DSL_SETUP.
struct dsl_op {
    enum { PRIMITIVE, GEMM, KERNEL, PACK } type;
    int step;
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> args;
    dsl_gemm gemm;
    dsl_kernel kernel;
    std::function<void()> pack;
};

// One buffer for memories of which no two are in use at once.
struct shared_buffer {
    std::vector<dnnl::memory> users;
    size_t bytes = 0; // of the largest

    dnnl::memory add(const dnnl::memory::desc &d, const dnnl::engine &e) {
        users.push_back(dnnl::memory(d, e, DNNL_MEMORY_NONE));
        if (d.get_size() > bytes) bytes = d.get_size();
        return users.back();
    }
    void place(void *at) {
        for (dnnl::memory &m : users) m.set_data_handle(at);
    }
};

struct dsl_program {
    dsl_engine *engine;
    std::vector<dsl_op> sections[DSL_NUM_SECTIONS];
    std::vector<std::string> names; // by step
    std::vector<dnnl::memory> memories;
    shared_buffer scratchpads;
    std::vector<void *> blocks; // of buffers
    size_t block_bytes = 0;     // of all blocks of small ones
    size_t block_left = 0;      // of the last of these
    char *block_next = nullptr; // in it
    int32_t cancel = 0;
    std::vector<double> ms; // by step, while profiling
    bool profiling = false;

    void *buffer(size_t bytes); // throws std::bad_alloc
    void *block(size_t bytes);  // the same
    void push(int section, dsl_op op) { sections[section].push_back(std::move(op)); }
    void push_kernel(int section, int step, const dsl_kernel &k);
    void push_pack(int step, std::function<void()> pack); // into DSL_SETUP
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

// What the files that call oneDNN share: parts of primitives and of programs.
dnnl::memory::desc activation(int n, int c, int h, int w, bool blocked);
bool stored_blocked(int c);
bool is_reference(const char *impl);
dnnl::primitive_attr user_scratchpad();
dnnl::memory bind(dsl_program *p, const dnnl::memory::desc &d, void *at);
void push_primitive(dsl_program *p, int section, int step, const dnnl::primitive &prim, std::vector<dnnl_exec_arg_t> args,
                    const dnnl::memory::desc &scratchpad);
void push_reorder(dsl_program *p, int section, int step, const dnnl::memory &from, const dnnl::memory &to,
                  const dnnl::primitive_attr &attr = user_scratchpad());

// Runs f and turns what it throws into a status and dsl_last_error's words.
int guarded(const char *what, void (*f)(void *), void *arg);

template <class F> int guard(const char *what, F f) {
    return guarded(what, [](void *p) { (*(F *)p)(); }, &f);
}

#endif
