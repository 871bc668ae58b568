// Convolutions of 8-bit integers: u8 feature maps times s8 weights, summed in s32, then scaled to what the next step reads.
//
// With x = sx·X and, for each output channel k, w_k = sw_k·W_k in integers X and W, the convolution is sx·sw_k·conv(X, W)_k. oneDNN computes
// scale_k·(conv(X, W)_k + bias_k) + sum·Y₀, Y₀ what y held, and rounds to the type of y: so scale_k = sx·sw_k/sy, bias_k = b_k/(sx·sw_k) and
// sum = sr/sy. The scales are part of a primitive, which is therefore made anew when weights are packed.
#include "int8.h"
#include "onednn.h"

#include <algorithm>
#include <cmath>

using dnnl::memory;

struct int8_conv {
    dsl_int8_conv c;
    memory weights, packed;
    float *bias; // in units of an accumulated sum
    size_t op;   // in its section
};

static memory::data_type type_of(const dsl_map &m) {
    return m.type == DSL_U8 ? memory::data_type::u8 : m.type == DSL_S8 ? memory::data_type::s8 : memory::data_type::f32;
}

static memory::desc nhwc(int n, int c, int h, int w, memory::data_type type) { return {{n, c, h, w}, type, memory::format_tag::nhwc}; }

// The largest weight. Without VNNI a processor adds pairs of products u8·s8 in 16 bits, and only 2·255·63 fits there.
static float weight_levels(void) {
    const unsigned have = (unsigned)dnnl_get_effective_cpu_isa(), avx512 = dnnl_cpu_isa_avx512_core_vnni, avx2 = dnnl_cpu_isa_avx2_vnni;
    return (have & avx512) == avx512 || (have & avx2) == avx2 ? 127.f : 63.f;
}

static dnnl::convolution_forward::primitive_desc describe(const dsl_program *p, const dsl_int8_conv &c, const std::vector<float> &scales) {
    dnnl::post_ops ops;
    if (c.flags & DSL_RESIDUAL_FLAG) ops.append_sum(c.residual.step / c.y.step, type_of(c.residual));
    if ((c.flags & DSL_RELU_FLAG) && c.y.type != DSL_U8) ops.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0); // u8 ends at 0 itself
    dnnl::primitive_attr attr = user_scratchpad();
    attr.set_output_scales(1 << 1, scales);
    attr.set_post_ops(ops);
    const memory::desc weights({c.k, c.c, c.r, c.r}, memory::data_type::s8, memory::format_tag::any);
    const memory::desc bias = c.bias ? memory::desc({c.k}, memory::data_type::f32, memory::format_tag::a) : memory::desc();
    const memory::dims stride = {c.stride, c.stride}, pad = {c.pad, c.pad};
    dnnl::convolution_forward::primitive_desc pd(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, nhwc(c.n, c.c, c.h, c.w, type_of(c.x)), weights, bias,
         nhwc(c.n, c.k, c.oh, c.ow, type_of(c.y)), stride, pad, pad},
        attr, p->engine->engine, true);
    if (!pd || is_reference(pd.impl_info_str())) throw dnnl::error(dnnl_unimplemented, "oneDNN has no 8-bit kernel for this convolution here");
    return pd;
}

// The step of a channel's weights, which brings the largest to the last level. What is far below float32's precision beside any bias is 0.
static float weight_step(const float *w, size_t n, float levels) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = std::max(largest, std::fabs(w[i]));
    return largest > 1e-12f ? largest / levels : 1;
}

// Makes integers of weights, and the primitive with their scales.
static void pack_int8(dsl_program *p, int8_conv &v) {
    const dsl_int8_conv &c = v.c;
    const size_t row = (size_t)c.r * c.r * c.c;
    const float levels = weight_levels();
    std::vector<float> scales((size_t)c.k), inverse((size_t)c.k);
    for (size_t k = 0; k < scales.size(); k++) {
        const float step = weight_step(c.weights + k * row, row, levels);
        inverse[k] = 1 / step;
        scales[k] = c.x.step * step / c.y.step;
        if (c.bias) v.bias[k] = c.bias[k] / (c.x.step * step);
    }
    dnnl::primitive_attr attr;
    attr.set_output_scales(1 << 0, inverse);
    dnnl::reorder::primitive_desc pd(p->engine->engine, v.weights.get_desc(), p->engine->engine, v.packed.get_desc(), attr);
    dnnl::reorder(pd).execute(p->engine->stream, v.weights, v.packed);
    p->sections[c.section][v.op].primitive = dnnl::convolution_forward(describe(p, c, scales));
}

int dsl_program_int8_conv(dsl_program *p, const dsl_int8_conv *c) {
    return guard("onednn: 8-bit convolution", [=] {
        const auto pd = describe(p, *c, std::vector<float>((size_t)c->k, 1));
        const auto v = std::make_shared<int8_conv>();
        v->c = *c;
        v->weights = bind(p, {{c->k, c->c, c->r, c->r}, memory::data_type::f32, memory::format_tag::ohwi}, (void *)c->weights);
        v->packed = bind(p, pd.weights_desc(), p->buffer(pd.weights_desc().get_size()));
        const memory x = bind(p, pd.src_desc(), c->x.at), y = bind(p, pd.dst_desc(), c->y.at);
        std::vector<dnnl_exec_arg_t> args = {{DNNL_ARG_SRC, x.get()}, {DNNL_ARG_WEIGHTS, v->packed.get()}, {DNNL_ARG_DST, y.get()}};
        if (c->bias) {
            v->bias = (float *)p->buffer(pd.bias_desc().get_size());
            args.push_back({DNNL_ARG_BIAS, bind(p, pd.bias_desc(), v->bias).get()});
        }
        v->op = p->sections[c->section].size();
        push_primitive(p, c->section, c->step, dnnl::primitive(), args, pd.scratchpad_desc());
        p->push_pack(c->step, [=] { pack_int8(p, *v); });
        p->names[(size_t)c->step] = pd.impl_info_str();
    });
}

int dsl_program_convert(dsl_program *p, const dsl_convert *c) {
    return guard("onednn: 8-bit feature map", [=] {
        auto of = [&](const dsl_map &m) {
            return m.layout == DSL_NHWC ? nhwc(c->n, c->c, c->h, c->w, type_of(m)) : activation(c->n, c->c, c->h, c->w, stored_blocked(c->c));
        };
        dnnl::primitive_attr attr = user_scratchpad();
        if (c->from.step != c->to.step) attr.set_output_scales(0, {c->from.step / c->to.step});
        push_reorder(p, c->section, c->step, bind(p, of(c->from), c->from.at), bind(p, of(c->to), c->to.at), attr);
    });
}
