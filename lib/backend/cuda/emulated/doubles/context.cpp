// Initialisation, devices, the primary context, handles, counts and problems.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include "emulated.h"
#include "state.h"

namespace emulated {

std::recursive_mutex lock;

constexpr int MAX_DEVICES = 8;
static context primary[MAX_DEVICES];
static bool initialised;
static thread_local std::vector<context *> stack;
static std::map<const void *, object *> objects;
static std::map<std::string, int> counts;
static std::vector<std::string> problems;

static const char *const kind_names[NUM_KINDS] = {"stream", "event", "module", "function", "graph", "graph instance"};

void count(const char *what, int change) { counts[what] += change; }

void add(object *o) {
    objects[o] = o;
    if (o->is != FUNCTION) count(kind_names[o->is], 1); // they go with their module
}

void destroy(object *o) {
    objects.erase(o);
    if (o->is != FUNCTION) count(kind_names[o->is], -1);
    delete o;
}

bool known(const void *handle) { return objects.count(handle) != 0; }

std::vector<object *> all(kind k) {
    std::vector<object *> found;
    for (auto &entry : objects)
        if (entry.second->is == k) found.push_back(entry.second);
    return found;
}

object *find(const char *call, kind k, void *handle) {
    auto it = objects.find(handle);
    if (it == objects.end() || it->second->is != k) {
        problem("%s: the %s is none, or was destroyed", call, kind_names[k]);
        return nullptr;
    }
    if (it->second->owner == current()) return it->second;
    problem("%s: the %s belongs to another context than this thread's", call, kind_names[k]);
    return nullptr;
}

void problem(const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problems.push_back(text);
}

long number(const char *variable, long otherwise) {
    const char *text = getenv(variable);
    return text && *text ? atol(text) : otherwise;
}

static int devices() { return (int)number("DSL_EMULATED_DEVICES", 1); }

context *current() { return stack.empty() ? nullptr : stack.back(); }

int enter(const char *call) {
    if (!initialised) {
        problem("%s: cuInit was not called", call);
        return NOT_INITIALIZED;
    }
    context *c = current();
    if (!c) {
        problem("%s: no context is current on this thread", call);
        return INVALID_CONTEXT;
    }
    if (!c->references) {
        problem("%s: the context of this thread was released", call);
        return CONTEXT_IS_DESTROYED;
    }
    return c->failure;
}

// Names what is left when a context is released for the last time. Other libraries of the process may hold a primary context too; then what was
// left stays for ever. After a failure nothing can be freed any more.
static void report_leaks(const context *c) {
    for (const context &other : primary)
        if (other.references || c->failure) return;
    for (auto &left : counts)
        if (left.second) problem("the context was released with %d of %s left", left.second, left.first.c_str());
}

// Destroys what lives in a primary context, as its last release does.
static void reset(context *c) {
    finish_all(c);
    report_leaks(c);
    for (kind k : {EXEC, GRAPH, EVENT, STREAM, MODULE})
        for (object *o : all(k))
            if (o->owner == c) destroy(o);
    release_memory(c);
    c->failure = OK;
}

} // namespace emulated

using namespace emulated;

static bool device_ok(int device) { return device >= 0 && device < devices(); }

API cuInit(unsigned flags) {
    locked held(lock);
    if (flags) return INVALID_VALUE;
    if (int failure = (int)number("DSL_EMULATED_INIT", 0)) return failure;
    initialised = true;
    return OK;
}

API cuDriverGetVersion(int *version) {
    *version = (int)number("DSL_EMULATED_VERSION", 12040);
    return OK;
}

API cuDeviceGetCount(int *n) {
    locked held(lock);
    if (!initialised) return NOT_INITIALIZED;
    *n = devices();
    return OK;
}

API cuDeviceGet(int *device, int ordinal) {
    if (!device_ok(ordinal)) return INVALID_DEVICE;
    *device = ordinal;
    return OK;
}

API cuDeviceGetName(char *name, int bytes, int device) {
    if (!device_ok(device)) return INVALID_DEVICE;
    snprintf(name, (size_t)bytes, "emulated device %d", device);
    return OK;
}

API cuDeviceGetUuid(char *uuid, int device) {
    if (!device_ok(device)) return INVALID_DEVICE;
    memset(uuid, 0xD0 + device, 16);
    return OK;
}

API cuDeviceGetPCIBusId(char *id, int bytes, int device) {
    if (!device_ok(device)) return INVALID_DEVICE;
    snprintf(id, (size_t)bytes, "0000:%02x:00.0", device);
    return OK;
}

API cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (!device_ok(device)) return INVALID_DEVICE;
    long capability = number("DSL_EMULATED_CAPABILITY", 90);
    switch (attribute) {
    case 1: *value = 1024; break;             // threads per block
    case 2: *value = 1024; break;             // block.x
    case 5: *value = 2147483647; break;       // grid.x
    case 6: *value = 65535; break;            // grid.y
    case 8: *value = 48 << 10; break;         // shared memory per block
    case 10: *value = 32; break;              // warp
    case 16: *value = 4; break;               // multiprocessors
    case 38: *value = 4 << 20; break;         // second-level cache
    case 41: *value = 1; break;               // unified addressing
    case 75: *value = (int)capability / 10; break;
    case 76: *value = (int)capability % 10; break;
    case 115: *value = 1; break;              // memory pools
    default: *value = 0;
    }
    return OK;
}

API cuDevicePrimaryCtxRetain(void **c, int device) {
    locked held(lock);
    if (!initialised) return NOT_INITIALIZED;
    if (!device_ok(device)) return INVALID_DEVICE;
    primary[device].device = device;
    primary[device].references++;
    count("context", 1);
    *c = &primary[device];
    return OK;
}

API cuDevicePrimaryCtxRelease_v2(int device) {
    locked held(lock);
    if (!device_ok(device)) return INVALID_DEVICE;
    context *c = &primary[device];
    if (!c->references) {
        problem("cuDevicePrimaryCtxRelease: released more often than retained");
        return INVALID_CONTEXT;
    }
    count("context", -1);
    if (--c->references == 0) reset(c);
    return OK;
}

API cuDevicePrimaryCtxReset_v2(int device) {
    locked held(lock);
    if (!device_ok(device)) return INVALID_DEVICE;
    reset(&primary[device]);
    return OK;
}

API cuDevicePrimaryCtxSetFlags_v2(int device, unsigned) { return device_ok(device) ? OK : INVALID_DEVICE; }

API cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    locked held(lock);
    if (!device_ok(device)) return INVALID_DEVICE;
    *flags = 0;
    *active = primary[device].references > 0;
    return OK;
}

static bool context_ok(const void *c) { return !c || (c >= &primary[0] && c < &primary[MAX_DEVICES]); }

API cuCtxSetCurrent(void *c) {
    locked held(lock);
    if (!context_ok(c)) return INVALID_CONTEXT;
    if (!stack.empty()) stack.pop_back();
    if (c) stack.push_back((context *)c);
    return OK;
}

API cuCtxPushCurrent_v2(void *c) {
    locked held(lock);
    if (!c || !context_ok(c)) return INVALID_CONTEXT;
    stack.push_back((context *)c);
    return OK;
}

API cuCtxPopCurrent_v2(void **c) {
    locked held(lock);
    if (stack.empty()) return INVALID_CONTEXT;
    if (c) *c = stack.back();
    stack.pop_back();
    return OK;
}

API cuCtxGetCurrent(void **c) {
    locked held(lock);
    *c = current();
    return OK;
}

API cuCtxGetDevice(int *device) {
    ENTER;
    *device = current()->device;
    return OK;
}

API cuCtxSynchronize() {
    ENTER_UNSAFE;
    return finish_all(current());
}

API cuCtxGetStreamPriorityRange(int *low, int *high) {
    ENTER;
    *low = *high = 0;
    return OK;
}

// ---- for the tests and the other doubles ----

extern "C" {
#define EXPORT __attribute__((visibility("default")))

EXPORT int emulated_enter(const char *call) {
    locked held(lock);
    return enter(call);
}

EXPORT void emulated_count(const char *kind, int change) {
    locked held(lock);
    count(kind, change);
}

EXPORT void emulated_problem(const char *text) {
    locked held(lock);
    problem("%s", text);
}

// Live handles of one kind.
EXPORT int emulated_live(const char *kind) {
    locked held(lock);
    auto it = counts.find(kind);
    return it == counts.end() ? 0 : it->second;
}

// The kinds that have been counted, one to a line.
EXPORT void emulated_kinds(char *text, size_t bytes) {
    locked held(lock);
    std::string all;
    for (auto &c : counts) all += c.first + "\n";
    snprintf(text, bytes, "%s", all.c_str());
}

// The problems since the last call, one to a line, as far as they fit; they are forgotten.
EXPORT void emulated_problems(char *text, size_t bytes) {
    locked held(lock);
    check_guards();
    std::string all;
    for (auto &p : problems) all += p + "\n";
    problems.clear();
    snprintf(text, bytes, "%s", all.c_str());
}
}
