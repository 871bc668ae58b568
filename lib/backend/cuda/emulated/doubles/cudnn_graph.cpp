// The emulated cuDNN's graphs, engines and kernels. The engines are made up, so that each reason for refusing or choosing one occurs.
#include "cudnn.h"
#include <set>

extern "C" int cuStreamIsCapturing(void *stream, int *status);

namespace emulated {

static bool same_shape(const tensor &a, const tensor &b) { return a.dims == b.dims; }

// The convolution that a graph begins with. Its x, w and y are where all three operations have them.
static int take_convolution(graph &g, const descriptor &d, tensor t[3]) {
    const int first = d.kind == OPERATION_FORWARD ? 700 : d.kind == OPERATION_BACKWARD_DATA ? 706 : 712;
    t[0] = tensor_of(d.child(first + 4));
    t[1] = tensor_of(d.child(first + 3));
    t[2] = tensor_of(d.child(first + 5));
    const descriptor &settings = d.child(first + 2);
    const auto stride = settings.numbers(103), pad = settings.numbers(105);
    const auto &x = t[0].dims, &w = t[1].dims, &y = t[2].dims;
    conv_args &a = g.args;
    a = {};
    a.op = d.kind == OPERATION_FORWARD ? FORWARD : d.kind == OPERATION_BACKWARD_DATA ? GRAD_DATA : GRAD_WEIGHTS;
    a.n = x[0], a.c = x[1], a.h = x[2], a.w = x[3], a.k = w[0], a.r = w[2], a.s = w[3], a.oh = y[2], a.ow = y[3];
    a.stride_h = stride[0], a.stride_w = stride[1], a.pad_h = pad[0], a.pad_w = pad[1];
    a.bf16 = t[0].data_type == 9;
    g.x_id = t[0].id, g.w_id = t[1].id, g.y_id = t[2].id;
    const int64_t oh = (a.h + 2 * a.pad_h - a.r) / a.stride_h + 1, ow = (a.w + 2 * a.pad_w - a.s) / a.stride_w + 1;
    if (w[1] != a.c || y[0] != a.n || y[1] != a.k || y[2] != oh || y[3] != ow) return refuse(SHAPE_MISMATCH, "a convolution's shapes do not fit");
    if (d.get(first).at<float>(0) != 1 || d.get(first + 1).at<float>(0) != 0) return refuse(NOT_SUPPORTED, "alpha is not 1, or beta not 0");
    return SUCCESS;
}

// One pointwise operation on what the graph has computed so far, which is in last.
static int take_step(graph &g, const descriptor &d, tensor &last) {
    const tensor x = tensor_of(d.child(751)), y = tensor_of(d.child(753));
    const bool relu = d.child(750).code(0) == 100;
    if (!last.is_virtual || last.data_type != 0 || x.id != last.id) return refuse(GRAPH_PATTERN, "operations do not follow one another in float32");
    if (!same_shape(x, last) || !same_shape(x, y)) return refuse(SHAPE_MISMATCH, "a pointwise operation's shapes differ");
    if (relu == (d.find(752) != nullptr)) return refuse(BAD_PARAM, "a pointwise operation has too many operands or too few");
    conv_step step = {relu, false, false, nullptr};
    int64_t id = 0;
    if (!relu) {
        const tensor b = tensor_of(d.child(752));
        step.row = b.dims == std::vector<int64_t>{1, x.dims[1], 1, 1};
        step.bf16 = b.data_type == 9;
        if (!step.row && !same_shape(x, b)) return refuse(SHAPE_MISMATCH, "what is added has neither the shape nor one row of channels");
        if (b.is_virtual) return refuse(GRAPH_PATTERN, "what is added is nowhere");
        g.inputs.push_back(b);
        id = b.id;
    }
    g.args.step[g.args.steps++] = step;
    g.step_ids.push_back(id);
    last = y;
    return SUCCESS;
}

static int check_tensors(const graph &g) {
    std::set<int64_t> ids;
    std::vector<tensor> all = g.inputs;
    all.push_back(g.output);
    for (auto &t : all) {
        if (t.is_virtual) return refuse(GRAPH_PATTERN, "an operand is virtual");
        if (!t.channels_last()) return refuse(3004, "a tensor is not dense with its channels last");
        if (!ids.insert(t.id).second) return refuse(DUPLICATED_ENTRIES, "two tensors have the unique id %lld", (long long)t.id);
    }
    return SUCCESS;
}

int make_graph(descriptor &d) {
    auto g = std::make_shared<graph>();
    g->handle = d.get(800).at<cudnn *>(0);
    const auto &operations = d.get(801).children;
    if (operations[0]->kind == OPERATION_POINTWISE) return refuse(GRAPH_PATTERN, "a graph does not begin with a convolution");
    tensor t[3];
    if (int status = take_convolution(*g, *operations[0], t)) return status;
    const int written = g->args.op == FORWARD ? 2 : g->args.op == GRAD_DATA ? 0 : 1;
    for (int i = 0; i < 3; i++) {
        if (i != written) g->inputs.push_back(t[i]);
        if ((i != written || !t[i].is_virtual) && t[i].data_type != t[0].data_type) return refuse(3003, "a convolution's types differ");
    }
    g->output = t[written];
    for (size_t i = 1; i < operations.size(); i++) {
        if (g->args.op != FORWARD || operations[i]->kind != OPERATION_POINTWISE) return refuse(GRAPH_PATTERN, "what follows cannot be fused");
        if (int status = take_step(*g, *operations[i], g->output)) return status;
    }
    if (g->fused()) g->y_id = g->output.id;
    if (g->output.data_type != t[0].data_type) return refuse(3003, "the output has another type than the input");
    if (int status = check_tensors(*g)) return status;
    d.made_graph = g;
    return SUCCESS;
}

static std::shared_ptr<const engine> offer(engine e) { return std::make_shared<const engine>(std::move(e)); }

enum { TENSOR_CORE = 0, DOWN_CONVERT_INPUTS = 1, REDUCED_PRECISION_REDUCTION = 2, NONDETERMINISTIC = 4 };
enum { RUNTIME_COMPILATION = 0, REQUIRES_FILTER_REORDER = 1 };
enum { HEUR_MODE_FALLBACK = 2 };

// Fused graphs are compiled for tensor cores, for channels that fill 16 bytes. Ready-made is one for float32 with everything.
static std::vector<std::shared_ptr<const engine>> fused_engines(const graph &g) {
    std::vector<std::shared_ptr<const engine>> all;
    const conv_args &a = g.args;
    const int64_t group = a.bf16 ? 8 : 4;
    if (a.c % group == 0 && a.k % group == 0) {
        all.push_back(offer({71, a.bf16 ? EXACT : TF32_INPUTS, {TENSOR_CORE}, {RUNTIME_COMPILATION}, {{2, 12}}, 0, true}));
    }
    const bool everything = a.steps == 3 && !a.step[0].relu && !a.step[0].row && a.step[1].row && a.step[2].relu;
    if (!a.bf16 && everything) all.push_back(offer({70, EXACT, {}, {}, {}, 4096, true}));
    return all;
}

std::vector<std::shared_ptr<const engine>> engines_for(const graph &g, int mode) {
    if (g.fused()) return mode == HEUR_MODE_FALLBACK ? std::vector<std::shared_ptr<const engine>>{} : fused_engines(g);
    const bool bf16 = g.args.bf16;
    const int64_t workspace = (int64_t)g.output.bytes() + 100; // odd, so that its end is looked at
    auto twenty = offer({20, EXACT, {}, {}, {{2, 3}, {13, 1}}, workspace, true});
    if (mode == HEUR_MODE_FALLBACK) return {twenty, offer({0, EXACT, {}, {}, {}, 0, true})};
    std::vector<std::shared_ptr<const engine>> all = {offer({10, bf16 ? EXACT : TF32_INPUTS, {TENSOR_CORE}, {}, {{2, 3}}, 0, true})};
    if (!bf16) all.push_back(offer({11, BF16_INPUTS, {TENSOR_CORE, DOWN_CONVERT_INPUTS}, {}, {}, 0, true}));
    if (bf16) all.push_back(offer({12, BF16_SUMS, {TENSOR_CORE, REDUCED_PRECISION_REDUCTION}, {}, {}, 0, true}));
    all.push_back(offer({50, EXACT, {}, {}, {{2, 9}}, 0, false}));
    all.push_back(offer({60, EXACT, {}, {}, {}, (int64_t)1 << 40, true}));
    all.push_back(twenty);
    all.push_back(offer({20, EXACT, {}, {}, {{2, 5}, {13, 1}}, 0, true}));
    all.push_back(offer({30, ANY_ORDER, {NONDETERMINISTIC}, {}, {}, 0, true}));
    all.push_back(offer({40, EXACT, {}, {REQUIRES_FILTER_REORDER}, {}, 0, true}));
    return all;
}

// The operands of a run, by unique id.
typedef std::map<int64_t, char *> operands;

static int check_operand(const operands &given, const tensor &t) {
    auto it = given.find(t.id);
    if (it == given.end()) return refuse(BAD_PARAM, "the variant pack lacks the tensor %lld", (long long)t.id);
    if ((uintptr_t)it->second % (uintptr_t)t.align) return refuse(MISALIGNED_POINTER, "the tensor %lld is not aligned", (long long)t.id);
    if (emulated_inside(it->second, t.bytes())) return SUCCESS;
    return refuse(EXECUTION_FAILED, "the tensor %lld of %zu bytes does not lie inside one allocation", (long long)t.id, t.bytes());
}

static bool overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

// A tensor of the output's size that is added may lie in the output's place: each element is read before it is written.
static int check_overlap(const operands &given, const graph &g) {
    char *out = given.at(g.output.id);
    for (auto &t : g.inputs) {
        char *in = given.at(t.id);
        const bool in_place = t.id != g.x_id && t.id != g.w_id && in == out && same_shape(t, g.output);
        if (g.fused() && in_place) continue;
        if (overlap(in, t.bytes(), out, g.output.bytes())) return refuse(BAD_PARAM, "the output lies over the tensor %lld", (long long)t.id);
    }
    return SUCCESS;
}

static int check_workspace(const descriptor &plan, const descriptor &pack, conv_args &a) {
    a.workspace_bytes = plan.chosen->workspace;
    if (a.workspace_bytes == 0) return SUCCESS;
    a.workspace = pack.find(1003) ? pack.get(1003).at<void *>(0) : nullptr;
    if (!a.workspace || (uintptr_t)a.workspace % 16) return refuse(BAD_PARAM, "the plan needs a workspace, aligned to 16 bytes");
    if (emulated_inside(a.workspace, (size_t)a.workspace_bytes)) return SUCCESS;
    return refuse(SIZE_INSUFFICIENT, "the workspace has less than %lld bytes", (long long)a.workspace_bytes);
}

// A plan loads its kernels when it first runs, which a capture does not allow.
static int check_loaded(const cudnn *handle, const descriptor &plan) {
    int capturing = 0;
    cuStreamIsCapturing(handle->stream, &capturing);
    if (capturing && !plan.loaded) return refuse(EXECUTION_FAILED, "a plan of engine %d is captured before it has ever run", plan.chosen->index);
    plan.loaded = true;
    return SUCCESS;
}

static void run(const void *args) {
    convolver(*(const conv_args *)args).run();
}

int execute(cudnn *handle, const descriptor &plan, const descriptor &pack) {
    const graph &g = *plan.made_graph;
    if (!live(handle) || handle != g.handle) return refuse(BAD_PARAM, "the handle is not the plan's");
    operands given;
    const auto ids = pack.numbers(1000);
    for (size_t i = 0; i < ids.size(); i++) given[ids[i]] = pack.get(1001).at<char *>((int64_t)i);
    if (given.size() != g.inputs.size() + 1) return refuse(BAD_PARAM, "%zu operands, want %zu", given.size(), g.inputs.size() + 1);
    for (auto &t : g.inputs)
        if (int status = check_operand(given, t)) return status;
    if (int status = check_operand(given, g.output)) return status;
    if (int status = check_overlap(given, g)) return status;
    if (int status = check_loaded(handle, plan)) return status;
    conv_args a = g.args;
    a.manner = plan.chosen->manner;
    if (int status = check_workspace(plan, pack, a)) return status;
    a.x = given.at(g.x_id), a.filter = given.at(g.w_id), a.y = given.at(g.y_id);
    for (int i = 0; i < a.steps; i++)
        if (!a.step[i].relu) a.step[i].at = given.at(g.step_ids[(size_t)i]);
    const int failed = emulated_enqueue(handle->stream, "cudnn convolution", run, &a, sizeof a);
    return failed ? refuse(EXECUTION_FAILED, "the stream took no work: %d", failed) : SUCCESS;
}

} // namespace emulated
