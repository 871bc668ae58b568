// The emulated cuDNN's objects. Its numbers are written down apart from the ones that nvlib uses, so that a slip in either shows.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "convolution.h"

namespace emulated {

enum cudnn_status {
    SUCCESS = 0, NOT_READY_FOR_USE = 1001, BAD_PARAM = 2000, NULL_POINTER = 2002, MISALIGNED_POINTER = 2003, NOT_FINALIZED = 2004,
    OUT_OF_BOUND = 2005, SIZE_INSUFFICIENT = 2006, SHAPE_MISMATCH = 2008, DUPLICATED_ENTRIES = 2009, ATTRIBUTE_TYPE = 2010,
    DESCRIPTOR_TYPE = 2012, NOT_SUPPORTED = 3000, GRAPH_PATTERN = 3001, EXECUTION_FAILED = 5000,
};

enum descriptor_kind {
    POINTWISE = 0, CONVOLUTION = 1, ENGINE = 2, ENGINECFG = 3, ENGINEHEUR = 4, EXECUTION_PLAN = 5, KNOB_CHOICE = 7,
    OPERATION_FORWARD = 10, OPERATION_BACKWARD_FILTER = 11, OPERATION_BACKWARD_DATA = 12, OPERATION_POINTWISE = 13, OPERATIONGRAPH = 15,
    VARIANT_PACK = 16, TENSOR = 17,
};

struct cudnn {
    void *stream;
};

struct descriptor;
typedef std::shared_ptr<descriptor> descriptor_ref;

// A value of an attribute: its bytes, or descriptors.
struct attribute {
    int type;
    int64_t count;
    std::vector<char> bytes;
    std::vector<descriptor_ref> children;

    template <class V> V at(int64_t i) const {
        V v;
        memcpy(&v, &bytes[(size_t)i * sizeof(V)], sizeof v);
        return v;
    }
};

struct tensor {
    int64_t id, align;
    int data_type;
    bool is_virtual;
    std::vector<int64_t> dims, strides;

    size_t element_bytes() const { return data_type == 9 ? 2 : 4; }
    size_t bytes() const;
    bool channels_last() const;
};

// A finished graph: what its kernels get, but for the addresses, and its tensors in memory.
struct graph {
    cudnn *handle;
    conv_args args;
    std::vector<tensor> inputs;
    tensor output;
    std::vector<int64_t> step_ids; // by step of the epilogue: the tensor that it adds, or 0
    int64_t x_id, w_id, y_id;
    bool fused() const { return args.steps > 0; }
};

// One configuration of an engine.
struct engine {
    int index;
    conv_manner manner;
    std::vector<int> numerical, behavior;
    std::vector<std::pair<int, int64_t>> knobs;
    int64_t workspace;
    bool builds;
};

struct descriptor {
    int kind;
    bool finished = false;
    std::map<int, attribute> attributes;
    std::shared_ptr<const graph> made_graph;                       // of graphs, heuristics, configurations and plans
    std::shared_ptr<const engine> chosen;                          // of configurations, engines and plans
    std::vector<std::shared_ptr<const engine>> results;            // of heuristics
    std::pair<int, int64_t> knob;                                  // of knob choices
    mutable bool loaded = false;                                   // of plans: a run has loaded the kernels

    const attribute *find(int name) const {
        auto it = attributes.find(name);
        return it == attributes.end() ? nullptr : &it->second;
    }
    const attribute &get(int name) const { return attributes.at(name); }
    int64_t number(int name) const { return get(name).at<int64_t>(0); }
    int code(int name) const { return get(name).at<int>(0); }
    const descriptor &child(int name, int64_t i = 0) const { return *get(name).children[(size_t)i]; }
    std::vector<int64_t> numbers(int name) const;
};

// Returns the status after noting the text, which is cudnnGetLastErrorString's; misuse (2000 and the like) is a problem too.
__attribute__((format(printf, 2, 3))) int refuse(int status, const char *format, ...);

bool live(const cudnn *handle);
tensor tensor_of(const descriptor &d);

// Checks a graph's operations and makes what runs them.
int make_graph(descriptor &d);
// The configurations that a mode of the heuristics gives.
std::vector<std::shared_ptr<const engine>> engines_for(const graph &g, int mode);
// Checks a variant pack against a plan and queues the plan's kernel.
int execute(cudnn *handle, const descriptor &plan, const descriptor &pack);

} // namespace emulated
