// Modules, functions, launches, and what happens when a kernel touches memory that is not there.
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include "state.h"

namespace emulated {

// ---- faults ----

static sigjmp_buf escape;
static volatile sig_atomic_t running;
static pthread_t runner;
static volatile uintptr_t fault_address;
static struct sigaction before[2];

static void on_fault(int signal, siginfo_t *info, void *where) {
    if (running && pthread_equal(runner, pthread_self())) {
        fault_address = (uintptr_t)info->si_addr;
        siglongjmp(escape, 1);
    }
    struct sigaction &old = before[signal == SIGBUS];
    if (old.sa_flags & SA_SIGINFO) old.sa_sigaction(signal, info, where);
    else if (old.sa_handler != SIG_IGN && old.sa_handler != SIG_DFL) old.sa_handler(signal);
}

static void catch_faults() {
    struct sigaction mine = {};
    mine.sa_sigaction = on_fault;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &mine, &before[0]);
    sigaction(SIGBUS, &mine, &before[1]);
    runner = pthread_self();
    running = 1;
}

static void release_faults() {
    running = 0;
    sigaction(SIGSEGV, &before[0], nullptr);
    sigaction(SIGBUS, &before[1], nullptr);
}

// Nothing runs any more in a context that has failed.
void run_guarded(context *c, const operation &op) {
    if (c->failure) return;
    catch_faults();
    if (sigsetjmp(escape, 1) == 0) {
        op.run();
    } else {
        c->failure = ILLEGAL_ADDRESS;
        problem("%s: touches memory outside any allocation, at %#lx", op.name.c_str(), (unsigned long)fault_address);
    }
    release_faults();
}

// ---- launches ----

static std::string check_arguments(const kernel &k, const std::vector<word> &args) {
    char text[256] = "";
    for (size_t i = 0; i < args.size(); i++) {
        double d;
        memcpy(&d, &args[i], 8);
        long long n = (long long)args[i];
        if (k.parameters[i] == 'p' && args[i] && !inside(args[i], 1))
            snprintf(text, sizeof text, "argument %zu is no device address: %#llx", i, args[i]);
        if (k.parameters[i] == 'i' && (n > 1ll << 40 || n < -(1ll << 40)))
            snprintf(text, sizeof text, "argument %zu is no integer: %#llx", i, args[i]);
        if (k.parameters[i] == 'd' && args[i] && args[i] < 1ull << 52)
            snprintf(text, sizeof text, "argument %zu is no double: %#llx", i, args[i]);
    }
    return text;
}

int push_launch(stream *s, const function *f, unsigned grid_x, unsigned grid_y, unsigned block, void **params) {
    const kernel *k = f->code;
    if (!grid_x || !grid_y || grid_y > 65535 || block != BLOCK_THREADS) {
        problem("%s: a grid of %u × %u blocks of %u threads", k->name.c_str(), grid_x, grid_y, block);
        return INVALID_VALUE;
    }
    std::vector<word> args; // package driver ends the list with a null, which the real driver does not look at
    for (void **p = params; *p; p++) args.push_back(*(word *)*p);
    if (args.size() != k->parameters.size()) {
        problem("%s: got %zu arguments, want %zu", k->name.c_str(), args.size(), k->parameters.size());
        return INVALID_VALUE;
    }
    std::string wrong = check_arguments(*k, args);
    if (!wrong.empty()) problem("%s: %s", k->name.c_str(), wrong.c_str());
    context *c = s->owner;
    return push(s, k->name, [=] {
        static unsigned long long launches;
        std::string why;
        if (run_grid(*k, grid_x, grid_y, args.data(), (unsigned long long)number("DSL_EMULATED_SEED", 1) + launches++, why)) return;
        c->failure = LAUNCH_FAILED;
        problem("%s: %s", k->name.c_str(), why.c_str());
    });
}

// ---- modules ----

static std::string ptx_word(const std::string &ptx, const char *directive) {
    size_t at = ptx.find(directive);
    if (at == std::string::npos) return "";
    at = ptx.find_first_not_of(" \t", at + strlen(directive));
    return ptx.substr(at, ptx.find_first_of(" \t\r\n,", at) - at);
}

// What the driver's compiler would say to the text: its version and its target have to suit.
static int check_ptx(const std::string &ptx, std::string &log) {
    std::string version = ptx_word(ptx, ".version"), target = ptx_word(ptx, ".target");
    int major, minor, sm;
    if (sscanf(version.c_str(), "%d.%d", &major, &minor) != 2 || sscanf(target.c_str(), "sm_%d", &sm) != 1) {
        log = "no PTX: .version or .target is missing";
        return INVALID_IMAGE;
    }
    long cuda = number("DSL_EMULATED_VERSION", 12040) / 10, accepted = (cuda / 100 - 4) * 10 + cuda % 100;
    if (major * 10 + minor > accepted) {
        log = "PTX version " + version + " is newer than this driver";
        return UNSUPPORTED_PTX_VERSION;
    }
    if (sm > number("DSL_EMULATED_CAPABILITY", 90)) {
        log = "PTX for " + target + " does not run on this device";
        return NO_BINARY_FOR_GPU;
    }
    return OK;
}

// The parameter list of an entry, or null.
static const char *find_entry(const std::string &ptx, const char *name) {
    size_t at = ptx.find(".entry " + std::string(name) + "(");
    return at == std::string::npos ? nullptr : ptx.c_str() + at;
}

static size_t count_parameters(const char *entry) {
    size_t n = 0;
    const char *end = strchr(entry, ')');
    for (const char *p = strstr(entry, ".param"); p && p < end; p = strstr(p + 1, ".param")) n++;
    return n;
}

} // namespace emulated

using namespace emulated;

API cuModuleLoadDataEx(void **out, const void *image, unsigned n, int *options, void **values) {
    ENTER_UNSAFE;
    std::string ptx = (const char *)image, log;
    if (int r = check_ptx(ptx, log)) {
        constexpr int ERROR_LOG = 5, ERROR_LOG_BYTES = 6;
        char *buffer = nullptr;
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++) {
            if (options[i] == ERROR_LOG) buffer = (char *)values[i];
            if (options[i] == ERROR_LOG_BYTES) bytes = (size_t)values[i];
        }
        if (buffer && bytes) snprintf(buffer, bytes, "%s", log.c_str());
        return r;
    }
    module *m = new module(current(), ptx);
    add(m);
    *out = m;
    return OK;
}

API cuModuleLoadData(void **out, const void *image) { return cuModuleLoadDataEx(out, image, 0, nullptr, nullptr); }

API cuModuleUnload(void *handle) {
    ENTER_UNSAFE;
    module *m = (module *)find(__func__, MODULE, handle);
    if (!m) return INVALID_HANDLE;
    if (int r = finish_all(current())) return r;
    destroy(m);
    return OK;
}

API cuModuleGetFunction(void **out, void *handle, const char *name) {
    ENTER;
    module *m = (module *)find(__func__, MODULE, handle);
    if (!m) return INVALID_HANDLE;
    const char *entry = find_entry(m->ptx, name);
    auto k = kernels().find(name);
    if (!entry || k == kernels().end()) return NOT_FOUND;
    if (count_parameters(entry) != k->second.parameters.size()) {
        problem("%s: the PTX has %zu parameters, the source %zu", name, count_parameters(entry), k->second.parameters.size());
        return INVALID_IMAGE;
    }
    m->functions.push_back(new function(m->owner, &k->second));
    add(m->functions.back());
    *out = m->functions.back();
    return OK;
}

API cuFuncGetAttribute(int *value, int attribute, void *handle) {
    ENTER;
    if (!find(__func__, FUNCTION, handle)) return INVALID_HANDLE;
    *value = attribute == 0 ? BLOCK_THREADS : 0;
    return OK;
}

API cuLaunchKernel(void *handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *st,
                   void **params, void **extra) {
    ENTER;
    function *f = (function *)find(__func__, FUNCTION, handle);
    stream *s = find_stream(__func__, st);
    if (!f || !s) return INVALID_HANDLE;
    if (gz != 1 || by != 1 || bz != 1 || shared || extra) {
        problem("%s: only two-dimensional grids of one-dimensional blocks without dynamic shared memory are emulated", f->code->name.c_str());
        return INVALID_VALUE;
    }
    return push_launch(s, f, gx, gy, bx, params);
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *handle, int, size_t) {
    ENTER;
    if (!find(__func__, FUNCTION, handle)) return INVALID_HANDLE;
    *n = 8;
    return OK;
}
