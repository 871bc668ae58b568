// Finds the engine configurations that cuDNN has for a convolution, and runs them.
#include "builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A search for plans.
typedef struct search {
    nvlib_handles *handles;
    const nvlib_conv *conv;
    cudnn_descriptor graph;
    int most;
    int64_t max_workspace;
    nvlib_plan **found;
    int count;
} search;

static const nvlib_cudnn *dnn(const nvlib_handles *h) { return &h->functions->cudnn; }

// Reads an engine's notes as a set of bits. Returns 0 for success.
static int read_notes(const nvlib_handles *h, cudnn_descriptor engine, int attribute, int type, int kinds, unsigned *notes) {
    int values[CUDNN_NUMERICAL_NOTES];
    int64_t count = 0;
    *notes = 0;
    if (dnn(h)->BackendGetAttribute(engine, attribute, type, kinds, &count, values)) return 1;
    for (int64_t i = 0; i < count && i < kinds; i++) *notes |= 1u << values[i];
    return 0;
}

static unsigned bit(int note) { return 1u << note; }

// Whether an engine computes otherwise than the convolution asks. What does not say how it computes is refused too.
static int refused(const nvlib_handles *h, const nvlib_conv *c, cudnn_descriptor engine) {
    unsigned numerical, behavior, never = bit(CUDNN_NOTE_REDUCED_PRECISION_REDUCTION) | bit(CUDNN_NOTE_FFT);
    for (int note = CUDNN_NOTE_WINOGRAD; note <= CUDNN_NOTE_WINOGRAD_13X13; note++) never |= bit(note); // they round several times as much
    if (c->type == NVLIB_F32) never |= bit(CUDNN_NOTE_DOWN_CONVERT_INPUTS);
    if (c->type == NVLIB_F32 && !c->tf32) never |= bit(CUDNN_NOTE_TENSOR_CORE);
    if (c->deterministic) never |= bit(CUDNN_NOTE_NONDETERMINISTIC);
    const unsigned reorders = bit(CUDNN_NOTE_REQUIRES_FILTER_REORDER) | bit(CUDNN_NOTE_REQUIRES_BIAS_REORDER);
    return read_notes(h, engine, CUDNN_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTES, &numerical) ||
           read_notes(h, engine, CUDNN_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTES, &behavior) ||
           (numerical & never) != 0 || (behavior & reorders) != 0;
}

// Makes descriptors that a call to GetAttribute fills. Returns how many there are, which is less than count when one fails.
static int make_empty(const nvlib_handles *h, int kind, int count, cudnn_descriptor *to) {
    for (int i = 0; i < count; i++) {
        if (dnn(h)->BackendCreateDescriptor(kind, &to[i])) return i;
    }
    return count;
}

static void destroy_all(const nvlib_handles *h, int count, const cudnn_descriptor *of) {
    for (int i = 0; i < count; i++) dnn(h)->BackendDestroyDescriptor(of[i]);
}

// Appends the knobs' settings to a name. Two configurations of an engine differ in nothing else.
static void append_knobs(const nvlib_handles *h, cudnn_descriptor config, char *name, size_t bytes) {
    cudnn_descriptor knobs[CUDNN_KNOBS];
    int64_t count = 0, one, value;
    int made = make_empty(h, CUDNN_KNOB_CHOICE, CUDNN_KNOBS, knobs), knob;
    if (made < CUDNN_KNOBS ||
        dnn(h)->BackendGetAttribute(config, CUDNN_ENGINE_CONFIG_KNOB_CHOICES, CUDNN_TYPE_DESCRIPTOR, CUDNN_KNOBS, &count, knobs)) {
        count = 0;
    }
    for (int i = 0; i < count && i < CUDNN_KNOBS; i++) {
        if (dnn(h)->BackendGetAttribute(knobs[i], CUDNN_KNOB_CHOICE_KNOB, CUDNN_TYPE_KNOB, 1, &one, &knob) ||
            dnn(h)->BackendGetAttribute(knobs[i], CUDNN_KNOB_CHOICE_VALUE, CUDNN_TYPE_INT64, 1, &one, &value)) {
            continue;
        }
        const size_t used = strlen(name);
        snprintf(name + used, bytes - used, " k%d=%lld", knob, (long long)value);
    }
    destroy_all(h, made, knobs);
}

// Names a configuration, if the convolution may use it. Returns 0 for success.
static int inspect(const nvlib_handles *h, const nvlib_conv *c, cudnn_descriptor config, char *name, size_t bytes) {
    cudnn_descriptor engine;
    int64_t one, index = -1;
    if (dnn(h)->BackendCreateDescriptor(CUDNN_ENGINE, &engine)) return 1;
    int failed = dnn(h)->BackendGetAttribute(config, CUDNN_ENGINE_CONFIG_ENGINE, CUDNN_TYPE_DESCRIPTOR, 1, &one, &engine) ||
                 refused(h, c, engine) ||
                 dnn(h)->BackendGetAttribute(engine, CUDNN_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &one, &index);
    if (!failed) {
        snprintf(name, bytes, "cudnn engine %lld", (long long)index);
        append_knobs(h, config, name, bytes);
    }
    dnn(h)->BackendDestroyDescriptor(engine);
    return failed;
}

// Makes a configuration's plan; NULL when it cannot be run or wants too much workspace. Most failures are of that kind, so none is an error.
static cudnn_descriptor make_plan(const search *s, cudnn_descriptor config, int64_t *workspace) {
    const nvlib_handles *h = s->handles;
    cudnn_descriptor plan;
    int64_t one;
    if (dnn(h)->BackendCreateDescriptor(CUDNN_PLAN, &plan)) return NULL;
    if (dnn(h)->BackendSetAttribute(plan, CUDNN_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &h->cudnn) ||
        dnn(h)->BackendSetAttribute(plan, CUDNN_PLAN_ENGINE_CONFIG, CUDNN_TYPE_DESCRIPTOR, 1, &config) || dnn(h)->BackendFinalize(plan) ||
        dnn(h)->BackendGetAttribute(plan, CUDNN_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one, workspace) || *workspace < 0 ||
        *workspace > s->max_workspace) {
        dnn(h)->BackendDestroyDescriptor(plan);
        return NULL;
    }
    return plan;
}

static int operands(const nvlib_conv *c) {
    return 1 << NVLIB_X | 1 << NVLIB_W | 1 << NVLIB_Y | c->bias << NVLIB_BIAS | c->residual << NVLIB_RESIDUAL;
}

// Adds a configuration's plan to those found. Returns whether it keeps the configuration.
static int consider(search *s, cudnn_descriptor config) {
    nvlib_plan p = {.handles = s->handles, .config = config, .operands = operands(s->conv)};
    if (s->count == s->most || inspect(s->handles, s->conv, config, p.name, sizeof p.name)) return 0;
    for (int i = 0; i < s->count; i++) {
        if (strcmp(s->found[i]->name, p.name) == 0) return 0; // the fallback list repeats the heuristics'
    }
    p.plan = make_plan(s, config, &p.workspace);
    if (p.plan == NULL) return 0;
    nvlib_plan *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        s->handles->functions->cudnn.BackendDestroyDescriptor(p.plan);
        return 0;
    }
    *kept = p;
    s->found[s->count++] = kept;
    return 1;
}

// Considers what a finished query of the heuristics found.
static int consider_results(search *s, cudnn_descriptor heuristics) {
    const nvlib_handles *h = s->handles;
    int64_t count = 0, got = 0;
    int status = dnn(h)->BackendGetAttribute(heuristics, CUDNN_HEURISTICS_RESULTS, CUDNN_TYPE_DESCRIPTOR, 0, &count, NULL);
    if (status || count <= 0) return status;
    cudnn_descriptor *configs = malloc((size_t)count * sizeof *configs);
    if (configs == NULL) return CUDNN_STATUS_HOST_ALLOCATION_FAILED;
    int made = make_empty(h, CUDNN_ENGINE_CONFIG, (int)count, configs);
    status = made < count ? CUDNN_STATUS_HOST_ALLOCATION_FAILED
                          : dnn(h)->BackendGetAttribute(heuristics, CUDNN_HEURISTICS_RESULTS, CUDNN_TYPE_DESCRIPTOR, count, &got, configs);
    for (int i = 0; i < made; i++) {
        int filled = status == 0 && i < got;
        if (!filled || !consider(s, configs[i])) dnn(h)->BackendDestroyDescriptor(configs[i]);
    }
    free(configs);
    return status;
}

// Asks the heuristics in one mode. Having nothing is a success.
static int ask(search *s, int mode) {
    builder b = {.handles = s->handles, .doing = "asking for engines"};
    cudnn_descriptor d = builder_begin(&b, CUDNN_HEURISTICS);
    builder_set(&b, d, CUDNN_HEURISTICS_GRAPH, CUDNN_TYPE_DESCRIPTOR, 1, &s->graph);
    builder_set(&b, d, CUDNN_HEURISTICS_MODE, CUDNN_TYPE_HEURISTICS_MODE, 1, &mode);
    builder_finish(&b, d);
    if (b.status == 0) {
        b.status = consider_results(s, d);
        if (b.status) cudnn_failed(s->handles, b.doing, b.status);
    }
    builder_drop(&b);
    return cudnn_unsupported(b.status) ? 0 : b.status;
}

int nvlib_plans(nvlib_handles *h, const nvlib_conv *c, int most, int64_t max_workspace, nvlib_plan **to, int *count) {
    builder b = {.handles = h, .doing = "describing a convolution"};
    search s = {h, c, builder_convolution(&b, c), most, max_workspace, to, 0};
    int failed = cudnn_unsupported(b.status) ? 0 : b.status;
    static const int modes[] = {CUDNN_MODE_A, CUDNN_MODE_FALLBACK};
    for (int i = 0; i < 2 && b.status == 0 && s.count < most; i++) {
        int status = ask(&s, modes[i]);
        if (status) failed = status;
    }
    builder_drop(&b);
    *count = s.count;
    return s.count > 0 ? 0 : failed; // one mode that fails does not matter when the other has something
}

int nvlib_plan_run(nvlib_plan *p, uint64_t x, uint64_t w, uint64_t y, uint64_t bias, uint64_t residual, uint64_t workspace) {
    const uint64_t all[NVLIB_OPERANDS] = {[NVLIB_X] = x, [NVLIB_W] = w, [NVLIB_Y] = y, [NVLIB_BIAS] = bias, [NVLIB_RESIDUAL] = residual};
    const void *pointers[NVLIB_OPERANDS], *space = (void *)(uintptr_t)workspace;
    int64_t ids[NVLIB_OPERANDS], count = 0;
    for (int i = 0; i < NVLIB_OPERANDS; i++) {
        if (!(p->operands >> i & 1)) continue;
        ids[count] = operand_id(i);
        pointers[count++] = (void *)(uintptr_t)all[i];
    }
    builder b = {.handles = p->handles, .doing = "describing operands"};
    cudnn_descriptor pack = builder_begin(&b, CUDNN_VARIANT_PACK);
    builder_set(&b, pack, CUDNN_VARIANT_PACK_POINTERS, CUDNN_TYPE_POINTER, count, pointers);
    builder_set(&b, pack, CUDNN_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
    builder_set(&b, pack, CUDNN_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_POINTER, 1, &space);
    builder_finish(&b, pack);
    if (b.status == 0) {
        b.status = dnn(p->handles)->BackendExecute(p->handles->cudnn, p->plan, pack);
        if (b.status) cudnn_failed(p->handles, p->name, b.status);
    }
    builder_drop(&b);
    return b.status;
}

void nvlib_plan_destroy(nvlib_plan *p) {
    dnn(p->handles)->BackendDestroyDescriptor(p->plan);
    dnn(p->handles)->BackendDestroyDescriptor(p->config);
    free(p);
}
