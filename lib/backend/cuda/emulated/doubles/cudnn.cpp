// The emulated libcudnn.so.9: descriptors, with checks as strict as the real library's or stricter.
#include "cudnn.h"
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include "emulated.h"

extern "C" int cuCtxSynchronize();

namespace emulated {

static std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> locked;
static std::map<const void *, descriptor_ref> descriptors;
static std::set<const cudnn *> handles;
static thread_local std::string last_error;

int refuse(int status, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    last_error = text;
    if (status / 1000 != NOT_SUPPORTED / 1000) emulated_problem(("cudnn: " + last_error).c_str());
    return status;
}

bool live(const cudnn *handle) { return handles.count(handle) != 0; }

std::vector<int64_t> descriptor::numbers(int name) const {
    std::vector<int64_t> all;
    const attribute &a = get(name);
    for (int64_t i = 0; i < a.count; i++) all.push_back(a.at<int64_t>(i));
    return all;
}

// Types of values, and their sizes.
enum value_type {
    HANDLE = 0, DATA_TYPE = 1, BOOLEAN = 2, INT64 = 3, FLOAT = 4, VOID_PTR = 6, CONVOLUTION_MODE = 7, HEUR_MODE = 8, KNOB_TYPE = 9,
    NUMERICAL_NOTE = 11, POINTWISE_MODE = 14, BACKEND_DESCRIPTOR = 15, BEHAVIOR_NOTE = 19,
};

static size_t size_of(int type) {
    switch (type) {
    case BOOLEAN: return 1;
    case HANDLE: case INT64: case VOID_PTR: case BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

// An attribute that a kind of descriptor has, and which values it takes.
struct rule {
    int kind, name, type;
    int64_t least, most; // how many values
    bool required;
    std::vector<int> children; // kinds
};

static const std::vector<rule> rules = [] {
    std::vector<rule> all = {
        {POINTWISE, 0, POINTWISE_MODE, 1, 1, true, {}},
        {POINTWISE, 1, DATA_TYPE, 1, 1, true, {}},
        {CONVOLUTION, 100, DATA_TYPE, 1, 1, true, {}},
        {CONVOLUTION, 101, CONVOLUTION_MODE, 1, 1, true, {}},
        {CONVOLUTION, 102, INT64, 2, 2, true, {}},
        {CONVOLUTION, 103, INT64, 2, 2, true, {}},
        {CONVOLUTION, 104, INT64, 2, 2, true, {}},
        {CONVOLUTION, 105, INT64, 2, 2, true, {}},
        {CONVOLUTION, 106, INT64, 1, 1, true, {}},
        {ENGINEHEUR, 200, HEUR_MODE, 1, 1, true, {}},
        {ENGINEHEUR, 201, BACKEND_DESCRIPTOR, 1, 1, true, {OPERATIONGRAPH}},
        {EXECUTION_PLAN, 400, HANDLE, 1, 1, true, {}},
        {EXECUTION_PLAN, 401, BACKEND_DESCRIPTOR, 1, 1, true, {ENGINECFG}},
        {OPERATION_POINTWISE, 750, BACKEND_DESCRIPTOR, 1, 1, true, {POINTWISE}},
        {OPERATION_POINTWISE, 751, BACKEND_DESCRIPTOR, 1, 1, true, {TENSOR}},
        {OPERATION_POINTWISE, 752, BACKEND_DESCRIPTOR, 1, 1, false, {TENSOR}},
        {OPERATION_POINTWISE, 753, BACKEND_DESCRIPTOR, 1, 1, true, {TENSOR}},
        {OPERATIONGRAPH, 800, HANDLE, 1, 1, true, {}},
        {OPERATIONGRAPH, 801, BACKEND_DESCRIPTOR, 1, 5, true,
         {OPERATION_FORWARD, OPERATION_BACKWARD_DATA, OPERATION_BACKWARD_FILTER, OPERATION_POINTWISE}},
        {VARIANT_PACK, 1000, INT64, 1, 8, true, {}},
        {VARIANT_PACK, 1001, VOID_PTR, 1, 8, true, {}},
        {VARIANT_PACK, 1003, VOID_PTR, 1, 1, false, {}},
        {TENSOR, 900, INT64, 1, 1, true, {}},
        {TENSOR, 901, DATA_TYPE, 1, 1, true, {}},
        {TENSOR, 902, INT64, 4, 4, true, {}},
        {TENSOR, 903, INT64, 4, 4, true, {}},
        {TENSOR, 906, INT64, 1, 1, true, {}},
        {TENSOR, 907, BOOLEAN, 1, 1, false, {}},
    };
    const std::pair<int, int> operations[] = {{OPERATION_FORWARD, 700}, {OPERATION_BACKWARD_DATA, 706}, {OPERATION_BACKWARD_FILTER, 712}};
    for (auto &o : operations) {
        all.push_back({o.first, o.second, FLOAT, 1, 1, true, {}});
        all.push_back({o.first, o.second + 1, FLOAT, 1, 1, true, {}});
        all.push_back({o.first, o.second + 2, BACKEND_DESCRIPTOR, 1, 1, true, {CONVOLUTION}});
        for (int i = 3; i < 6; i++) all.push_back({o.first, o.second + i, BACKEND_DESCRIPTOR, 1, 1, true, {TENSOR}});
    }
    return all;
}();

static const rule *find_rule(int kind, int name) {
    for (auto &r : rules)
        if (r.kind == kind && r.name == name) return &r;
    return nullptr;
}

static descriptor_ref find_descriptor(const void *d) {
    auto it = descriptors.find(d);
    return it == descriptors.end() ? nullptr : it->second;
}

size_t tensor::bytes() const {
    size_t n = element_bytes();
    for (int64_t d : dims) n *= (size_t)d;
    return n;
}

bool tensor::channels_last() const {
    const int64_t c = dims[1], w = dims[3];
    return strides == std::vector<int64_t>{dims[2] * w * c, 1, w * c, c};
}

tensor tensor_of(const descriptor &d) {
    return {d.number(906), d.number(900), d.code(901), d.find(907) && d.get(907).bytes[0], d.numbers(902), d.numbers(903)};
}

static int finish_tensor(const descriptor &d) {
    const tensor t = tensor_of(d);
    for (int64_t n : t.dims)
        if (n < 1) return refuse(BAD_PARAM, "a tensor has a dimension of %lld", (long long)n);
    for (int64_t n : t.strides)
        if (n < 1) return refuse(BAD_PARAM, "a tensor has a stride of %lld", (long long)n);
    if (t.data_type != 0 && t.data_type != 9) return refuse(NOT_SUPPORTED, "data type %d", t.data_type);
    if (t.align < (int64_t)t.element_bytes() || (t.align & (t.align - 1))) return refuse(BAD_PARAM, "an alignment of %lld bytes", (long long)t.align);
    if (!t.id) return refuse(BAD_PARAM, "a tensor has the unique id 0");
    return SUCCESS;
}

static int finish_convolution(const descriptor &d) {
    if (d.number(106) != 2) return refuse(NOT_SUPPORTED, "%lld spatial dimensions", (long long)d.number(106));
    if (d.code(100) != 0) return refuse(NOT_SUPPORTED, "compute type %d", d.code(100));
    if (d.code(101) != 1) return refuse(NOT_SUPPORTED, "a convolution that is no cross-correlation");
    for (int i = 0; i < 2; i++) {
        const long long dilation = d.numbers(102)[i], stride = d.numbers(103)[i], post = d.numbers(104)[i], pre = d.numbers(105)[i];
        if (dilation < 1 || stride < 1 || post < 0 || pre < 0) return refuse(BAD_PARAM, "a convolution's stride, dilation or padding is negative");
        if (dilation != 1 || post != pre) return refuse(NOT_SUPPORTED, "dilation, or padding that is not the same on both sides");
    }
    return SUCCESS;
}

static int finish_pointwise(const descriptor &d) {
    if (d.code(0) != 0 && d.code(0) != 100) return refuse(NOT_SUPPORTED, "pointwise mode %d", d.code(0));
    return d.code(1) == 0 ? SUCCESS : refuse(NOT_SUPPORTED, "pointwise math in type %d", d.code(1));
}

static int finish_heuristics(descriptor &d) {
    const int mode = d.code(200);
    if (mode < 0 || mode > 3) return refuse(BAD_PARAM, "heuristics mode %d", mode);
    const char *status = getenv("DSL_EMULATED_HEURISTICS");
    if (status && atoi(status)) return refuse(atoi(status), "DSL_EMULATED_HEURISTICS is set");
    d.made_graph = d.child(201).made_graph;
    d.results = engines_for(*d.made_graph, mode);
    return SUCCESS;
}

static int finish_plan(descriptor &d) {
    cudnn *handle = d.get(400).at<cudnn *>(0);
    const descriptor &config = d.child(401);
    if (!live(handle) || handle != config.made_graph->handle) return refuse(BAD_PARAM, "a plan's handle is not its graph's");
    if (!config.chosen->builds) return refuse(NOT_SUPPORTED, "engine %d does not fit the shape", config.chosen->index);
    d.made_graph = config.made_graph;
    d.chosen = config.chosen;
    return SUCCESS;
}

static int finish_pack(const descriptor &d) {
    std::vector<int64_t> ids = d.numbers(1000);
    if ((int64_t)ids.size() != d.get(1001).count) return refuse(SIZE_INSUFFICIENT, "as many unique ids as pointers are needed");
    if (std::set<int64_t>(ids.begin(), ids.end()).size() != ids.size()) return refuse(DUPLICATED_ENTRIES, "a unique id comes twice");
    return SUCCESS;
}

static int finish(descriptor &d) {
    for (auto &r : rules)
        if (r.kind == d.kind && r.required && !d.find(r.name)) return refuse(BAD_PARAM, "descriptor kind %d lacks attribute %d", d.kind, r.name);
    switch (d.kind) {
    case TENSOR: return finish_tensor(d);
    case CONVOLUTION: return finish_convolution(d);
    case POINTWISE: return finish_pointwise(d);
    case OPERATIONGRAPH: return make_graph(d);
    case ENGINEHEUR: return finish_heuristics(d);
    case EXECUTION_PLAN: return finish_plan(d);
    case VARIANT_PACK: return finish_pack(d);
    case OPERATION_FORWARD: case OPERATION_BACKWARD_DATA: case OPERATION_BACKWARD_FILTER: case OPERATION_POINTWISE: return SUCCESS;
    default: return refuse(BAD_PARAM, "descriptor kind %d cannot be finalized by the program", d.kind);
    }
}

// Takes over an attribute's descriptors, which must be finished ones of the right kind.
static int take_children(const rule &r, const void *values, attribute &a) {
    for (int64_t i = 0; i < a.count; i++) {
        descriptor_ref child = find_descriptor(((void *const *)values)[i]);
        if (!child) return refuse(BAD_PARAM, "attribute %d: no such descriptor", r.name);
        bool fits = false;
        for (int kind : r.children) fits |= kind == child->kind;
        if (!fits) return refuse(DESCRIPTOR_TYPE, "attribute %d: a descriptor of kind %d", r.name, child->kind);
        if (!child->finished) return refuse(NOT_FINALIZED, "attribute %d: its descriptor is not finalized", r.name);
        a.children.push_back(child);
    }
    return SUCCESS;
}

static int set(descriptor &d, int name, int type, int64_t count, const void *values) {
    const rule *r = find_rule(d.kind, name);
    if (!r) return refuse(BAD_PARAM, "descriptor kind %d has no attribute %d to set", d.kind, name);
    if (d.finished) return refuse(BAD_PARAM, "attribute %d: the descriptor is finalized", name);
    if (type != r->type) return refuse(ATTRIBUTE_TYPE, "attribute %d: type %d, want %d", name, type, r->type);
    if (count < r->least || count > r->most) return refuse(OUT_OF_BOUND, "attribute %d: %lld values", name, (long long)count);
    if (!values) return refuse(NULL_POINTER, "attribute %d: no values", name);
    attribute a = {type, count, {(const char *)values, (const char *)values + (size_t)count * size_of(type)}, {}};
    if (type == HANDLE && !live(a.at<cudnn *>(0))) return refuse(BAD_PARAM, "attribute %d: no such handle", name);
    if (type == BACKEND_DESCRIPTOR)
        if (int status = take_children(*r, values, a)) return status;
    d.attributes[name] = a;
    return SUCCESS;
}

// Answers with up to most values.
template <class V> static int give(const std::vector<V> &all, int64_t most, int64_t *count, void *values) {
    if (count) *count = (int64_t)all.size();
    for (int64_t i = 0; values && i < most && i < (int64_t)all.size(); i++) ((V *)values)[i] = all[(size_t)i];
    return SUCCESS;
}

// Fills descriptors that the program has made for it.
template <class F> static int fill(int kind, size_t have, int64_t most, int64_t *count, void *values, F f) {
    if (count) *count = (int64_t)have;
    for (size_t i = 0; values && i < have && (int64_t)i < most; i++) {
        descriptor_ref d = find_descriptor(((void **)values)[i]);
        if (!d || d->kind != kind || d->finished) return refuse(DESCRIPTOR_TYPE, "want a fresh descriptor of kind %d to fill", kind);
        f(*d, i);
        d->finished = true;
    }
    return SUCCESS;
}

static int get_descriptors(const descriptor &d, int name, int64_t most, int64_t *count, void *values) {
    switch (name) {
    case 202:
        return fill(ENGINECFG, d.results.size(), most, count, values, [&](descriptor &config, size_t i) {
            config.made_graph = d.made_graph;
            config.chosen = d.results[i];
        });
    case 300: return fill(ENGINE, 1, most, count, values, [&](descriptor &e, size_t) { e.chosen = d.chosen; });
    default:
        return fill(KNOB_CHOICE, d.chosen->knobs.size(), most, count, values, [&](descriptor &k, size_t i) { k.knob = d.chosen->knobs[i]; });
    }
}

static int get(const descriptor &d, int name, int type, int64_t most, int64_t *count, void *values) {
    static const struct {
        int kind, name, type;
    } readable[] = {{ENGINEHEUR, 202, BACKEND_DESCRIPTOR}, {ENGINECFG, 300, BACKEND_DESCRIPTOR}, {ENGINECFG, 302, BACKEND_DESCRIPTOR},
                    {EXECUTION_PLAN, 402, INT64},          {KNOB_CHOICE, 600, KNOB_TYPE},         {KNOB_CHOICE, 601, INT64},
                    {ENGINE, 1301, INT64},                 {ENGINE, 1303, NUMERICAL_NOTE},        {ENGINE, 1305, BEHAVIOR_NOTE}};
    if (!d.finished) return refuse(NOT_FINALIZED, "attribute %d of a descriptor that is not finalized", name);
    bool known = false;
    for (auto &r : readable) {
        if (r.kind != d.kind || r.name != name) continue;
        if (r.type != type) return refuse(ATTRIBUTE_TYPE, "attribute %d: type %d, want %d", name, type, r.type);
        known = true;
    }
    if (!known) return refuse(BAD_PARAM, "descriptor kind %d has no attribute %d to read", d.kind, name);
    switch (name) {
    case 402: return give<int64_t>({d.chosen->workspace}, most, count, values);
    case 600: return give<int>({d.knob.first}, most, count, values);
    case 601: return give<int64_t>({d.knob.second}, most, count, values);
    case 1301: return give<int64_t>({d.chosen->index}, most, count, values);
    case 1303: return give(d.chosen->numerical, most, count, values);
    case 1305: return give(d.chosen->behavior, most, count, values);
    default: return get_descriptors(d, name, most, count, values);
    }
}

} // namespace emulated

using namespace emulated;

#define API(result) extern "C" __attribute__((visibility("default"))) result

API(size_t) cudnnGetVersion() { return 90600; }
API(size_t) cudnnGetCudartVersion() { return 12060; }

API(const char *) cudnnGetErrorString(int status) {
    switch (status) {
    case SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case NOT_READY_FOR_USE: return "CUDNN_STATUS_NOT_INITIALIZED";
    case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    default: return status / 1000 == 2 ? "CUDNN_STATUS_BAD_PARAM" : "CUDNN_STATUS_NOT_SUPPORTED";
    }
}

API(void) cudnnGetLastErrorString(char *text, size_t bytes) { snprintf(text, bytes, "%s", last_error.c_str()); }

API(int) cudnnCreate(void **out) {
    locked held(lock);
    if (emulated_enter(__func__)) return refuse(NOT_READY_FOR_USE, "no context is current");
    if (!out) return refuse(NULL_POINTER, "no place for the handle");
    cudnn *h = new cudnn{nullptr};
    handles.insert(h);
    emulated_count("cudnn handle", 1);
    *out = h;
    return SUCCESS;
}

// The real one waits for the device.
API(int) cudnnDestroy(void *handle) {
    locked held(lock);
    cudnn *h = (cudnn *)handle;
    if (!live(h)) return refuse(BAD_PARAM, "cudnnDestroy: no such handle");
    cuCtxSynchronize();
    handles.erase(h);
    emulated_count("cudnn handle", -1);
    delete h;
    return SUCCESS;
}

API(int) cudnnSetStream(void *handle, void *stream) {
    locked held(lock);
    if (!live((cudnn *)handle)) return refuse(BAD_PARAM, "cudnnSetStream: no such handle");
    ((cudnn *)handle)->stream = stream;
    return SUCCESS;
}

API(int) cudnnBackendCreateDescriptor(int kind, void **out) {
    locked held(lock);
    static const std::set<int> kinds = {POINTWISE, CONVOLUTION, ENGINE, ENGINECFG, ENGINEHEUR, EXECUTION_PLAN, KNOB_CHOICE, OPERATION_FORWARD,
                                        OPERATION_BACKWARD_FILTER, OPERATION_BACKWARD_DATA, OPERATION_POINTWISE, OPERATIONGRAPH, VARIANT_PACK,
                                        TENSOR};
    if (!kinds.count(kind)) return refuse(NOT_SUPPORTED, "descriptor kind %d", kind);
    descriptor_ref d = std::make_shared<descriptor>();
    d->kind = kind;
    descriptors[d.get()] = d;
    emulated_count("cudnn descriptor", 1);
    *out = d.get();
    return SUCCESS;
}

API(int) cudnnBackendDestroyDescriptor(void *d) {
    locked held(lock);
    if (!descriptors.erase(d)) return refuse(BAD_PARAM, "cudnnBackendDestroyDescriptor: no such descriptor");
    emulated_count("cudnn descriptor", -1);
    return SUCCESS;
}

API(int) cudnnBackendSetAttribute(void *d, int name, int type, int64_t count, const void *values) {
    locked held(lock);
    descriptor_ref ref = find_descriptor(d);
    return ref ? set(*ref, name, type, count, values) : refuse(BAD_PARAM, "attribute %d of no descriptor", name);
}

API(int) cudnnBackendGetAttribute(void *d, int name, int type, int64_t most, int64_t *count, void *values) {
    locked held(lock);
    descriptor_ref ref = find_descriptor(d);
    return ref ? get(*ref, name, type, most, count, values) : refuse(BAD_PARAM, "attribute %d of no descriptor", name);
}

API(int) cudnnBackendFinalize(void *d) {
    locked held(lock);
    descriptor_ref ref = find_descriptor(d);
    if (!ref) return refuse(BAD_PARAM, "cudnnBackendFinalize: no such descriptor");
    if (ref->finished) return refuse(BAD_PARAM, "a descriptor of kind %d is finalized twice", ref->kind);
    if (int status = finish(*ref)) return status;
    ref->finished = true;
    return SUCCESS;
}

API(int) cudnnBackendExecute(void *handle, void *plan, void *pack) {
    locked held(lock);
    if (emulated_enter(__func__)) return EXECUTION_FAILED;
    descriptor_ref p = find_descriptor(plan), v = find_descriptor(pack);
    if (!p || p->kind != EXECUTION_PLAN || !p->finished) return refuse(BAD_PARAM, "cudnnBackendExecute: no finalized plan");
    if (!v || v->kind != VARIANT_PACK || !v->finished) return refuse(BAD_PARAM, "cudnnBackendExecute: no finalized variant pack");
    return execute((cudnn *)handle, *p, *v);
}
