// Streams, events, capture and graphs.
#include <cstring>
#include <map>
#include "emulated.h"
#include "state.h"

namespace emulated {

static std::map<context *, std::unique_ptr<stream>> defaults; // the default stream of each context

static std::vector<stream *> streams() {
    std::vector<stream *> found;
    for (object *o : all(STREAM)) found.push_back((stream *)o);
    return found;
}

static stream *default_stream(context *c) {
    std::unique_ptr<stream> &s = defaults[c];
    if (!s) s = std::make_unique<stream>(c, true);
    return s.get();
}

static bool capturing_here(const stream *s) { return s->capture && s->capturer == std::this_thread::get_id(); }

int enter_unsafe(const char *call) {
    if (int r = enter(call)) return r;
    for (stream *s : streams()) {
        if (!capturing_here(s)) continue;
        problem("%s: not allowed while this thread captures a stream", call);
        s->invalidated = true;
        return CAPTURE_UNSUPPORTED;
    }
    return OK;
}

stream *find_stream(const char *call, void *handle) {
    return handle ? (stream *)find(call, STREAM, handle) : default_stream(current());
}

static int push(stream *s, operation o) {
    static unsigned long long pushed;
    o.number = pushed++;
    work w = std::make_shared<const operation>(std::move(o));
    if (!s->capture) {
        s->queue.push_back(w);
        return OK;
    }
    if (!capturing_here(s)) {
        problem("%s: another thread captures this stream", w->name.c_str());
        s->invalidated = true;
        return CAPTURE_WRONG_THREAD;
    }
    s->capture->nodes.push_back(w);
    return OK;
}

int push(stream *s, std::string name, std::function<void()> run) { return push(s, operation{std::move(name), std::move(run), nullptr}); }

// A stream that is destroyed has reached all its marks.
static bool passed(const mark &m) { return m.reached || !known(m.at); }

static bool ready(const stream *s) { return !s->queue.empty() && (!s->queue.front()->awaited || passed(*s->queue.front()->awaited)); }

// Copies to the device that ran before work that the host had given to another stream before them.
static int overtaken;

static bool overtakes(const stream *s) {
    const operation &o = *s->queue.front();
    if (o.name.find("HtoD") == std::string::npos) return false;
    for (const stream *other : streams())
        if (other != s && other->owner == s->owner && !other->queue.empty() && other->queue.front()->number < o.number) return true;
    return false;
}

static void run_next(stream *s) {
    overtaken += overtakes(s);
    work w = s->queue.front();
    s->queue.pop_front();
    s->done++;
    run_guarded(s->owner, *w);
}

// Runs what the other streams have ready, until nothing is.
static void run_others(const stream *s) {
    for (bool ran = true; ran;) {
        ran = false;
        for (stream *other : streams()) {
            if (other == s || other->owner != s->owner) continue;
            for (; ready(other); ran = true) run_next(other);
        }
    }
}

static void advance(stream *s);

// Runs the mark's stream up to the mark.
static void reach(const mark &m) {
    while (!passed(m) && !m.at->queue.empty()) advance(m.at);
}

// Runs the next operation of a stream, after what it waits for.
static void advance(stream *s) {
    if (number("DSL_EMULATED_ORDER", 0)) run_others(s);
    if (!ready(s)) reach(*s->queue.front()->awaited);
    run_next(s);
}

static void drain(stream *s) {
    while (!s->queue.empty()) advance(s);
}

// The default stream and the blocking ones wait for each other.
int finish(stream *s) {
    if (s->blocking) {
        drain(default_stream(s->owner));
        for (stream *other : streams())
            if (other->blocking && other->owner == s->owner) drain(other);
    }
    drain(s);
    return s->owner->failure;
}

int finish_all(context *c) {
    drain(default_stream(c));
    for (stream *s : streams())
        if (s->owner == c) drain(s);
    return c->failure;
}

} // namespace emulated

using namespace emulated;

API cuStreamCreate(void **out, unsigned flags) {
    ENTER;
    stream *s = new stream(current(), !(flags & 1));
    add(s);
    *out = s;
    return OK;
}

API cuStreamCreateWithPriority(void **out, unsigned flags, int) { return cuStreamCreate(out, flags); }

API cuStreamDestroy_v2(void *handle) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (!s || !handle) return INVALID_HANDLE;
    if (s->capture) problem("%s: the stream is being captured", __func__);
    drain(s);
    destroy(s);
    return OK;
}

// Waiting for a stream that is being captured spoils the capture.
static int refuse_captured(const char *call, stream *s) {
    if (!s) return INVALID_HANDLE;
    if (!s->capture) return OK;
    problem("%s: the stream is being captured", call);
    s->invalidated = true;
    return CAPTURE_UNSUPPORTED;
}

API cuStreamSynchronize(void *handle) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (int r = refuse_captured(__func__, s)) return r;
    return finish(s);
}

// Each question moves the stream on by one operation.
API cuStreamQuery(void *handle) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (int r = refuse_captured(__func__, s)) return r;
    if (s->queue.empty()) return OK;
    advance(s);
    return NOT_READY;
}

API cuStreamWaitEvent(void *handle, void *ev, unsigned) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    event *e = (event *)find(__func__, EVENT, ev);
    if (!s || !e) return INVALID_HANDLE;
    if (s->capture || e->captured) {
        problem("%s: the emulated driver captures single streams only", __func__);
        s->invalidated = true;
        return CAPTURE_UNSUPPORTED;
    }
    return e->last ? push(s, operation{__func__, [] {}, e->last}) : OK;
}

API cuStreamBeginCapture_v2(void *handle, int mode) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (!s) return INVALID_HANDLE;
    if (!handle || s->capture || mode < 0 || mode > 2) {
        problem("%s: the default stream, a stream that is captured already, or an unknown mode", __func__);
        return handle ? ILLEGAL_STATE : CAPTURE_UNSUPPORTED;
    }
    s->capture = std::make_unique<graph>(GRAPH, s->owner);
    s->invalidated = false;
    s->capturer = std::this_thread::get_id();
    return OK;
}

// Another thread's capture is not looked at in any mode.
API cuThreadExchangeStreamCaptureMode(int *mode) {
    static thread_local int current = 0;
    ENTER;
    if (!mode || *mode < 0 || *mode > 2) return INVALID_VALUE;
    const int before = current;
    current = *mode;
    *mode = before;
    return OK;
}

API cuStreamEndCapture(void *handle, void **out) {
    ENTER;
    *out = nullptr;
    stream *s = find_stream(__func__, handle);
    if (!s) return INVALID_HANDLE;
    if (!s->capture) {
        problem("%s: the stream is not being captured", __func__);
        return ILLEGAL_STATE;
    }
    if (!capturing_here(s)) {
        problem("%s: another thread began the capture", __func__);
        return CAPTURE_WRONG_THREAD;
    }
    std::unique_ptr<graph> g = std::move(s->capture);
    if (s->invalidated) return CAPTURE_INVALIDATED;
    add(g.get());
    *out = g.release();
    return OK;
}

API cuStreamIsCapturing(void *handle, int *status) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (!s) return INVALID_HANDLE;
    *status = !s->capture ? 0 : s->invalidated ? 2 : 1;
    return OK;
}

API cuEventCreate(void **out, unsigned) {
    ENTER;
    event *e = new event(current());
    add(e);
    *out = e;
    return OK;
}

API cuEventDestroy_v2(void *handle) {
    ENTER;
    event *e = (event *)find(__func__, EVENT, handle);
    if (!e) return INVALID_HANDLE;
    destroy(e);
    return OK;
}

API cuEventRecord(void *handle, void *st) {
    ENTER;
    event *e = (event *)find(__func__, EVENT, handle);
    stream *s = find_stream(__func__, st);
    if (!e || !s) return INVALID_HANDLE;
    e->captured = s->capture != nullptr;
    if (e->captured) return OK;
    std::shared_ptr<mark> m = e->last = std::make_shared<mark>(mark{s});
    return push(s, __func__, [m] {
        m->reached = true;
        m->ms = (double)m->at->done;
    });
}

static int find_recorded(const char *call, void *handle, event **out) {
    event *e = *out = (event *)find(call, EVENT, handle);
    if (!e) return INVALID_HANDLE;
    if (!e->captured) return OK;
    problem("%s: the event was recorded in a stream that is captured", call);
    return CAPTURED_EVENT;
}

API cuEventSynchronize(void *handle) {
    ENTER;
    event *e;
    if (int r = find_recorded(__func__, handle, &e)) return r;
    if (e->last) reach(*e->last);
    return current()->failure;
}

API cuEventQuery(void *handle) {
    ENTER;
    event *e;
    if (int r = find_recorded(__func__, handle, &e)) return r;
    if (!e->last || e->last->reached) return OK;
    advance(e->last->at);
    return NOT_READY;
}

API cuEventElapsedTime(float *ms, void *from, void *to) {
    ENTER;
    event *a, *b;
    if (int r = find_recorded(__func__, from, &a)) return r;
    if (int r = find_recorded(__func__, to, &b)) return r;
    if (!a->last || !b->last) {
        problem("%s: an event was never recorded", __func__);
        return INVALID_HANDLE;
    }
    if (!a->last->reached || !b->last->reached) return NOT_READY;
    *ms = (float)(b->last->ms - a->last->ms);
    return OK;
}

API cuLaunchHostFunc(void *handle, void (*f)(void *), void *data) {
    ENTER;
    stream *s = find_stream(__func__, handle);
    if (!s) return INVALID_HANDLE;
    return push(s, __func__, [=] { f(data); });
}

API cuGraphInstantiateWithFlags(void **out, void *handle, unsigned long long) {
    ENTER;
    graph *g = (graph *)find(__func__, GRAPH, handle);
    if (!g) return INVALID_HANDLE;
    graph *exec = new graph(EXEC, g->owner);
    exec->nodes = g->nodes;
    add(exec);
    *out = exec;
    return OK;
}

static int destroy_graph(const char *call, kind k, void *handle) {
    object *g = find(call, k, handle);
    if (!g) return INVALID_HANDLE;
    destroy(g);
    return OK;
}

API cuGraphDestroy(void *handle) {
    ENTER;
    return destroy_graph(__func__, GRAPH, handle);
}

API cuGraphExecDestroy(void *handle) {
    ENTER;
    return destroy_graph(__func__, EXEC, handle);
}

API cuGraphUpload(void *handle, void *st) {
    ENTER;
    return find(__func__, EXEC, handle) && find_stream(__func__, st) ? OK : INVALID_HANDLE;
}

API cuGraphLaunch(void *handle, void *st) {
    ENTER;
    graph *g = (graph *)find(__func__, EXEC, handle);
    stream *s = find_stream(__func__, st);
    if (!g || !s) return INVALID_HANDLE;
    for (const work &w : g->nodes)
        if (int r = push(s, w->name, w->run)) return r;
    return OK;
}

extern "C" __attribute__((visibility("default"))) int emulated_enqueue(void *handle, const char *name, void (*run)(const void *),
                                                                       const void *args, size_t bytes) {
    ENTER;
    stream *s = find_stream(name, handle);
    if (!s) return INVALID_HANDLE;
    std::vector<char> copy((const char *)args, (const char *)args + bytes);
    return push(s, name, [run, copy] { run(copy.data()); });
}

// The copies to the device since the last call that ran before older work of another stream.
extern "C" __attribute__((visibility("default"))) int emulated_overtaken() {
    locked held(lock);
    const int n = overtaken;
    overtaken = 0;
    return n;
}
