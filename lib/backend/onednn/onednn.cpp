// oneDNN: convolutions, matrix products and changes of layout. Written for version 2; version 3 drops the descriptors of operations, which
// only forward_pd, grad_data_pd and grad_weights_pd make.
#include "onednn.h"
#include "loader.h"

#include <stdexcept>

using dnnl::algorithm;
using dnnl::memory;
using dnnl::primitive_attr;
using dnnl::prop_kind;
typedef memory::desc desc;
typedef dnnl::convolution_forward::primitive_desc forward_desc;
typedef dnnl::convolution_backward_data::primitive_desc grad_data_desc;
typedef dnnl::convolution_backward_weights::primitive_desc grad_weights_desc;

// The shapes of a convolution and how it may be run.
struct conv_plan {
    const dsl_conv *c;
    dnnl::engine engine;
    algorithm alg;
    bool blocked_x, blocked_y; // else in planes
    primitive_attr attr;

    desc x() const;
    desc y() const;
    desc weights() const { return desc({c->k, c->c, c->r, c->r}, memory::data_type::f32, memory::format_tag::any); }
    desc bias() const { return c->bias ? desc({c->k}, memory::data_type::f32, memory::format_tag::a) : desc(); }
    memory::dims stride() const { return {c->stride, c->stride}; }
    memory::dims pad() const { return {c->pad, c->pad}; }
};

// What oneDNN may use decides for our kernels too, as both read the same blocks.
const dsl_isa &current_isa() {
    static const dsl_isa isa = [] {
        const unsigned have = dsl_onednn_problem() ? 0 : (unsigned)dnnl_get_effective_cpu_isa();
        const unsigned avx512 = dnnl_cpu_isa_avx512_core, avx2 = dnnl_cpu_isa_avx2;
        if ((have & avx512) == avx512) return dsl_isa{"avx512", 16, dsl_kernels_avx512};
        if ((have & avx2) == avx2) return dsl_isa{"avx2", 8, dsl_kernels_avx2};
        return dsl_isa{"base", 8, dsl_kernels_base};
    }();
    return isa;
}

const char *dsl_environment(void) {
    static const std::string text = [] {
        if (dsl_onednn_problem()) return std::string();
        const dnnl_version_t *v = dnnl_version();
        return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) + " " + v->hash +
               ", instruction set " + std::to_string((unsigned)dnnl_get_effective_cpu_isa());
    }();
    return text.c_str();
}

int dsl_lanes(void) { return current_isa().lanes; }

desc activation(int n, int c, int h, int w, bool blocked) {
    typedef memory::format_tag tag;
    const tag t = !blocked ? tag::nchw : dsl_lanes() == 16 ? tag::nChw16c : tag::nChw8c;
    return desc({n, c, h, w}, memory::data_type::f32, t);
}

bool stored_blocked(int c) { return c >= dsl_lanes(); }

desc conv_plan::x() const { return activation(c->n, c->c, c->h, c->w, blocked_x); }
desc conv_plan::y() const { return activation(c->n, c->k, c->oh, c->ow, blocked_y); }

static forward_desc forward_pd(const conv_plan &p) {
    // For inference Winograd wants its weights transformed beforehand, which costs more than it saves where they change in each run.
    const prop_kind kind = p.c->training ? prop_kind::forward_training : prop_kind::forward_inference;
    if (!p.c->bias)
        return forward_desc({kind, p.alg, p.x(), p.weights(), p.y(), p.stride(), p.pad(), p.pad()}, p.attr,
                            p.engine, true);
    return forward_desc({kind, p.alg, p.x(), p.weights(), p.bias(), p.y(), p.stride(), p.pad(), p.pad()},
                        p.attr, p.engine, true);
}

// The gradients of a direct convolution ask for a forward descriptor as a hint.
static forward_desc hint_pd(const conv_plan &p) {
    const desc any_x({p.c->n, p.c->c, p.c->h, p.c->w}, memory::data_type::f32, memory::format_tag::any);
    const desc any_y({p.c->n, p.c->k, p.c->oh, p.c->ow}, memory::data_type::f32, memory::format_tag::any);
    return forward_desc({prop_kind::forward_training, p.alg, any_x, p.weights(), any_y, p.stride(), p.pad(), p.pad()}, p.engine);
}

static grad_data_desc grad_data_pd(const conv_plan &p) {
    return grad_data_desc({p.alg, p.x(), p.weights(), p.y(), p.stride(), p.pad(), p.pad()}, p.attr, p.engine, hint_pd(p), true);
}

static grad_weights_desc grad_weights_pd(const conv_plan &p) {
    if (!p.c->bias)
        return grad_weights_desc({p.alg, p.x(), p.weights(), p.y(), p.stride(), p.pad(), p.pad()}, p.attr, p.engine, hint_pd(p),
                                 true);
    return grad_weights_desc({p.alg, p.x(), p.weights(), p.bias(), p.y(), p.stride(), p.pad(), p.pad()}, p.attr, p.engine,
                             hint_pd(p), true);
}

memory bind(dsl_program *p, const desc &d, void *at) {
    p->memories.push_back(memory(d, p->engine->engine, at));
    return p->memories.back();
}

void push_primitive(dsl_program *p, int section, int step, const dnnl::primitive &prim, std::vector<dnnl_exec_arg_t> args,
                    const desc &scratchpad) {
    if (scratchpad.get_size()) args.push_back({DNNL_ARG_SCRATCHPAD, p->scratchpads.add(scratchpad, p->engine->engine).get()});
    dsl_op op = {};
    op.type = dsl_op::PRIMITIVE, op.step = step, op.primitive = prim, op.args = std::move(args);
    p->push(section, std::move(op));
}

primitive_attr user_scratchpad() {
    primitive_attr a;
    a.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return a;
}

void push_reorder(dsl_program *p, int section, int step, const memory &from, const memory &to, const primitive_attr &attr) {
    dnnl::reorder::primitive_desc pd(p->engine->engine, from.get_desc(), p->engine->engine, to.get_desc(), attr);
    push_primitive(p, section, step, dnnl::reorder(pd), {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}}, pd.scratchpad_desc());
}

// What is stored at `at` in the layout that a primitive wants: itself, or a buffer with a reorder before the primitive.
static memory source(dsl_program *p, const dsl_conv *c, const desc &stored, void *at, const desc &want) {
    memory m = bind(p, stored, at);
    if (stored == want) return m;
    memory packed = bind(p, want, p->buffer(want.get_size()));
    push_reorder(p, c->section, c->step, m, packed);
    return packed;
}

// Where the weights of Winograd's kernels lie. Tiles of 4×4 outputs: [n groups][6][6][c groups][n of a group][c of a group][c block][n block]; of 2×2:
// [4][4][n groups][c blocks][c block][n of a group][n block], groups of one block perhaps.
static dsl_winograd winograd_layout(const dnnl_wino_desc_t &w) {
    dsl_winograd l = {w.alpha, w.oc, w.ic, w.oc_block, w.oc2_block, w.ic_block, 1, 0, 0, 0, 0, 0, 0};
    if (w.wino_format == dnnl_wino_wei_OBaaIBOIio) {
        l.c_group = w.ic2_block;
        l.of_c = w.oc_block, l.of_c_block = w.ic_block * l.of_c, l.of_n_block = w.ic2_block * l.of_c_block, l.of_c_group = w.oc2_block * l.of_n_block;
        l.next = w.ic / (w.ic_block * w.ic2_block) * l.of_c_group, l.of_n_group = w.alpha * w.alpha * l.next;
    } else if (w.wino_format == dnnl_wino_wei_aaOBiOo || w.wino_format == dnnl_wino_wei_aaOio) {
        if (w.wino_format == dnnl_wino_wei_aaOio) l.n_group = 1;
        l.of_n_block = w.oc_block, l.of_c = l.n_group * l.of_n_block, l.of_c_group = w.ic_block * l.of_c;
        l.of_n_group = w.ic * l.of_c, l.next = w.oc / (w.oc_block * l.n_group) * l.of_n_group;
    } else
        throw dnnl::error(dnnl_unimplemented, "oneDNN wants weights in a layout that is not known here");
    return l;
}

// Packs weights as Winograd's kernels read them. oneDNN's own reorder takes several times as long, and twice the memory.
static void push_winograd_weights(dsl_program *p, const dsl_conv *c, const desc &want, void *at) {
    dsl_winograd *layout = (dsl_winograd *)p->buffer(sizeof(dsl_winograd));
    *layout = winograd_layout(want.data.format_desc.wino_desc);
    dsl_kernel k = {};
    k.kind = DSL_WINOGRAD_WEIGHTS, k.n = c->k, k.c = c->c, k.in[0] = c->weights, k.in[1] = layout, k.out[0] = at;
    p->push_kernel(c->pack_section, c->step, k);
}

// The dense weights [k,r,r,c] in the layout that a primitive wants.
static memory packed_weights(dsl_program *p, const dsl_conv *c, const desc &want) {
    const memory::dims dims = {c->k, c->c, c->r, c->r};
    memory m = bind(p, desc(dims, memory::data_type::f32, memory::format_tag::ohwi), c->weights);
    if (m.get_desc() == want && !c->copy_weights) return m;
    void *at = p->buffer(want.get_size());
    memory packed = bind(p, want, at);
    if (want.data.format_kind == dnnl_format_kind_wino)
        push_winograd_weights(p, c, want, at);
    else
        push_reorder(p, c->pack_section, c->step, m, packed);
    return packed;
}

bool is_reference(const char *impl) { return std::string(impl).find("ref") != std::string::npos; }

// A primitive descriptor for the first way to lay out x and y that oneDNN has a fast kernel for, else for the last. Many channels are blocked.
template <class PD> static PD choose(conv_plan &plan, PD (*make)(const conv_plan &)) {
    const bool stored = stored_blocked(plan.c->c);
    const bool ways[][2] = {{stored, true}, {true, true}, {false, false}};
    PD pd;
    for (auto &way : ways) {
        plan.blocked_x = way[0], plan.blocked_y = way[1];
        pd = make(plan);
        if (stored || (pd && !is_reference(pd.impl_info_str()))) break;
    }
    if (!pd) throw dnnl::error(dnnl_unimplemented, "oneDNN has no kernel for this convolution");
    return pd;
}

// As choose, but tries Winograd's algorithm first where it is allowed.
template <class PD> static PD choose_gradient(conv_plan &plan, PD (*make)(const conv_plan &)) {
    if (plan.c->winograd) {
        plan.alg = algorithm::convolution_winograd;
        try {
            PD pd = make(plan);
            if (pd) return pd;
        } catch (const dnnl::error &) { // the shape has no such kernel
        }
        plan.alg = algorithm::convolution_direct;
    }
    return choose(plan, make);
}

// Whether the residual lies where the output goes, so that oneDNN can add to what is there.
static bool over_residual(const dsl_conv *c) { return (c->flags & DSL_RESIDUAL_FLAG) && c->residual == c->y; }

// The forward descriptor; fused says whether the residual became a post-op of it.
static forward_desc choose_forward(conv_plan &plan, bool *fused) {
    const dsl_conv *c = plan.c;
    const bool relu = c->flags & DSL_RELU_FLAG, residual = c->flags & DSL_RESIDUAL_FLAG, over = over_residual(c);
    const primitive_attr plain = user_scratchpad();
    for (int attempt = c->winograd ? 0 : 1; attempt < 3; attempt++) {
        *fused = over || (attempt == 1 && residual && stored_blocked(c->k));
        plan.alg = attempt == 0 ? algorithm::convolution_winograd : algorithm::convolution_direct;
        dnnl::post_ops ops;
        if (over) ops.append_sum();
        else if (*fused) ops.append_binary(algorithm::binary_add, plan.y());
        if (relu && (*fused || !residual)) ops.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
        plan.attr = user_scratchpad();
        plan.attr.set_post_ops(ops);
        try {
            forward_desc pd = choose(plan, forward_pd);
            if (attempt == 2 || !is_reference(pd.impl_info_str())) return pd;
        } catch (const dnnl::error &e) {
            if (attempt == 2) throw;
        }
    }
    throw std::logic_error("no attempt left");
}

static void push_add(dsl_program *p, const dsl_conv *c) {
    dsl_op op = {};
    op.type = dsl_op::KERNEL, op.step = c->step;
    op.kernel.kind = DSL_ADD, op.kernel.flags = c->flags & DSL_RELU_FLAG;
    op.kernel.count = (int64_t)(activation(c->n, c->k, c->oh, c->ow, stored_blocked(c->k)).get_size() / sizeof(float));
    op.kernel.in[0] = c->y, op.kernel.in[1] = c->residual, op.kernel.out[0] = c->y;
    p->push(c->section, std::move(op));
}

static void push_forward(dsl_program *p, conv_plan &plan) {
    const dsl_conv *c = plan.c;
    bool fused = false;
    forward_desc pd = choose_forward(plan, &fused);
    memory x = source(p, c, activation(c->n, c->c, c->h, c->w, stored_blocked(c->c)), c->x, pd.src_desc());
    memory w = packed_weights(p, c, pd.weights_desc());
    const desc stored = activation(c->n, c->k, c->oh, c->ow, stored_blocked(c->k));
    memory y = bind(p, stored, c->y), out = y;
    if (stored != pd.dst_desc()) out = bind(p, pd.dst_desc(), p->buffer(pd.dst_desc().get_size()));
    std::vector<dnnl_exec_arg_t> args = {{DNNL_ARG_SRC, x.get()}, {DNNL_ARG_WEIGHTS, w.get()}, {DNNL_ARG_DST, out.get()}};
    if (c->bias) args.push_back({DNNL_ARG_BIAS, bind(p, plan.bias(), c->bias).get()});
    if (over_residual(c) && out.get() != y.get()) push_reorder(p, c->section, c->step, y, out);
    if (fused && !over_residual(c)) args.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, bind(p, stored, c->residual).get()});
    push_primitive(p, c->section, c->step, dnnl::convolution_forward(pd), args, pd.scratchpad_desc());
    p->names[(size_t)c->step] = pd.impl_info_str();
    if (out.get() != y.get()) push_reorder(p, c->section, c->step, out, y);
    if ((c->flags & DSL_RESIDUAL_FLAG) && !fused) push_add(p, c);
}

static void push_grad_data(dsl_program *p, conv_plan &plan) {
    const dsl_conv *c = plan.c;
    grad_data_desc pd = choose_gradient(plan, grad_data_pd);
    memory dy = source(p, c, activation(c->n, c->k, c->oh, c->ow, stored_blocked(c->k)), c->y, pd.diff_dst_desc());
    memory w = packed_weights(p, c, pd.weights_desc());
    const desc stored = activation(c->n, c->c, c->h, c->w, stored_blocked(c->c));
    memory dx = bind(p, stored, c->x), out = dx;
    if (stored != pd.diff_src_desc()) out = bind(p, pd.diff_src_desc(), p->buffer(pd.diff_src_desc().get_size()));
    push_primitive(p, c->section, c->step, dnnl::convolution_backward_data(pd),
                   {{DNNL_ARG_DIFF_DST, dy.get()}, {DNNL_ARG_WEIGHTS, w.get()}, {DNNL_ARG_DIFF_SRC, out.get()}}, pd.scratchpad_desc());
    p->names[(size_t)c->step] = pd.impl_info_str();
    if (out.get() != dx.get()) push_reorder(p, c->section, c->step, out, dx);
}

static void push_grad_weights(dsl_program *p, conv_plan &plan) {
    const dsl_conv *c = plan.c;
    grad_weights_desc pd = choose_gradient(plan, grad_weights_pd);
    memory x = source(p, c, activation(c->n, c->c, c->h, c->w, stored_blocked(c->c)), c->x, pd.src_desc());
    memory dy = source(p, c, activation(c->n, c->k, c->oh, c->ow, stored_blocked(c->k)), c->y, pd.diff_dst_desc());
    const desc dense({c->k, c->c, c->r, c->r}, memory::data_type::f32, memory::format_tag::ohwi);
    memory dw = bind(p, dense, c->weights), out = dw;
    if (dense != pd.diff_weights_desc()) out = bind(p, pd.diff_weights_desc(), p->buffer(pd.diff_weights_desc().get_size()));
    std::vector<dnnl_exec_arg_t> args = {{DNNL_ARG_SRC, x.get()}, {DNNL_ARG_DIFF_DST, dy.get()}, {DNNL_ARG_DIFF_WEIGHTS, out.get()}};
    if (c->bias) args.push_back({DNNL_ARG_DIFF_BIAS, bind(p, plan.bias(), c->bias).get()});
    push_primitive(p, c->section, c->step, dnnl::convolution_backward_weights(pd), args, pd.scratchpad_desc());
    p->names[(size_t)c->step] = pd.impl_info_str();
    if (out.get() != dw.get()) push_reorder(p, c->section, c->step, out, dw);
}

int dsl_program_conv(dsl_program *p, const dsl_conv *c) {
    struct call {
        dsl_program *p;
        const dsl_conv *c;
    } arg = {p, c};
    return guarded(
        "onednn: convolution",
        [](void *v) {
            call *a = (call *)v;
            conv_plan plan = {a->c, a->p->engine->engine, algorithm::convolution_direct, true, true, user_scratchpad()};
            switch (a->c->type) {
            case DSL_CONV: push_forward(a->p, plan); break;
            case DSL_CONV_GRAD_DATA: push_grad_data(a->p, plan); break;
            default: push_grad_weights(a->p, plan);
            }
        },
        &arg);
}

int dsl_program_reorder(dsl_program *p, const dsl_reorder *r) {
    struct call {
        dsl_program *p;
        const dsl_reorder *r;
    } arg = {p, r};
    return guarded(
        "onednn: layout",
        [](void *v) {
            call *a = (call *)v;
            const dsl_reorder *r = a->r;
            const desc nhwc({r->n, r->c, r->h, r->w}, memory::data_type::f32, memory::format_tag::nhwc);
            const desc kept = activation(r->n, r->c, r->h, r->w, stored_blocked(r->c));
            push_reorder(a->p, r->section, r->step, bind(a->p, r->from == DSL_NHWC ? nhwc : kept, r->src),
                         bind(a->p, r->to == DSL_NHWC ? nhwc : kept, r->dst));
        },
        &arg);
}

void run_primitive(dsl_program *p, dsl_op &op) {
    dnnl_status_t s = dnnl_primitive_execute(op.primitive.get(), p->engine->stream.get(), (int)op.args.size(), op.args.data());
    if (s != dnnl_success) throw dnnl::error(s, "a primitive failed");
}

void run_gemm(dsl_op &op) {
    const dsl_gemm &g = op.gemm;
    const int lda = g.transpose_a ? g.rows : g.inner, ldb = g.transpose_b ? g.inner : g.cols;
    dnnl_status_t s = dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.rows, g.cols, g.inner, 1, g.a, lda, g.b, ldb,
                                 g.beta, g.out, g.cols);
    if (s != dnnl_success) throw dnnl::error(s, "sgemm failed");
}
