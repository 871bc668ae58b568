// The emulated driver's objects. One lock guards all of them, kernels run under it too.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include "kernel.h"

namespace emulated {

// CUresult's numbers.
enum result {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209, INVALID_PTX = 218, UNSUPPORTED_PTX_VERSION = 222, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500,
    NOT_READY = 600, ILLEGAL_ADDRESS = 700, LAUNCH_OUT_OF_RESOURCES = 701, CONTEXT_IS_DESTROYED = 709, LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_UNMATCHED = 903, CAPTURE_IMPLICIT = 906, CAPTURED_EVENT = 907,
    CAPTURE_WRONG_THREAD = 908,
};

// A device's primary context. failure is the error that every call returns after a kernel has failed.
struct context {
    int device = 0, references = 0, failure = OK;
};

// What a handle stands for. Those that exist are registered, so that a stale handle is known for what it is.
enum kind { STREAM, EVENT, MODULE, FUNCTION, GRAPH, EXEC, NUM_KINDS };
struct object {
    kind is;
    context *owner;
    object(kind k, context *c) : is(k), owner(c) {}
    virtual ~object() = default;
};
void add(object *o);
void destroy(object *o);
bool known(const void *handle);
std::vector<object *> all(kind k);

// The object of a handle, or null with a noted problem.
object *find(const char *call, kind k, void *handle);

// What a stream or a graph runs. A wait for an event runs nothing: it is ready once the mark is reached.
struct mark;
struct operation {
    std::string name;
    std::function<void()> run;
    std::shared_ptr<mark> awaited;
    unsigned long long number = 0; // in the order in which the host gave work to streams
};
typedef std::shared_ptr<const operation> work;

struct graph : object {
    std::vector<work> nodes;
    graph(kind k, context *c) : object(k, c) {}
};

// A stream runs nothing by itself: its queue is worked off when somebody waits for it, so that a missing wait shows. With DSL_EMULATED_ORDER=1 the
// other streams' queues are worked off before, as far as they are ready, so that a wait that the other side lacks shows too.
struct stream : object {
    bool blocking; // ordered with the default stream
    std::deque<work> queue;
    long done = 0; // pieces of work: the clock, so that what a program chooses by timing does not depend on the machine
    std::unique_ptr<graph> capture;
    bool invalidated = false; // the capture was misused
    std::thread::id capturer;
    stream(context *c, bool blocks) : object(STREAM, c), blocking(blocks) {}
};

// A place in a stream. Recording an event again makes a new mark.
struct mark {
    stream *at;
    bool reached = false;
    double ms = 0;
};

struct event : object {
    bool captured = false;
    std::shared_ptr<mark> last;
    explicit event(context *c) : object(EVENT, c) {}
};

struct function : object {
    const kernel *code;
    function(context *c, const kernel *k) : object(FUNCTION, c), code(k) {}
};

struct module : object {
    std::string ptx;
    std::vector<function *> functions;
    module(context *c, std::string text) : object(MODULE, c), ptx(std::move(text)) {}
    ~module() override {
        for (function *f : functions) destroy(f);
    }
};

typedef std::lock_guard<std::recursive_mutex> locked;
extern std::recursive_mutex lock;

void count(const char *what, int change);
__attribute__((format(printf, 1, 2))) void problem(const char *format, ...);
long number(const char *variable, long otherwise); // an environment variable

context *current();
int enter(const char *call);        // initialised, a context on this thread, no failure
int enter_unsafe(const char *call); // the same, and no capture on this thread: for calls that a capture forbids

// The null handle is the default stream.
stream *find_stream(const char *call, void *handle);
int push(stream *s, std::string name, std::function<void()> run);
int finish(stream *s);
int finish_all(context *c);

int push_launch(stream *s, const function *f, unsigned grid_x, unsigned grid_y, unsigned block, void **params);
void run_guarded(context *c, const operation &op);

void release_memory(context *c);
bool inside(uint64_t address, size_t bytes);
bool pinned(const void *p, size_t bytes);
void check_guards();

} // namespace emulated

// Every entry point holds the lock, and most want a context.
#define API extern "C" __attribute__((visibility("default"))) int
#define ENTER_AS(how)                                                                                                  \
    emulated::locked held_(emulated::lock);                                                                            \
    if (int refused_ = emulated::how(__func__)) return refused_
#define ENTER ENTER_AS(enter)
#define ENTER_UNSAFE ENTER_AS(enter_unsafe)
