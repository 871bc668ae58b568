// Device memory, pinned memory and copies.
//
// Device memory is host memory between pages that fault. It ends where they begin, up to the alignment, and that gap is filled with a
// pattern that is looked at when the memory is freed. Fresh memory and the gap are not-a-number in every floating-point type.
#include <sys/mman.h>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include "emulated.h"
#include "state.h"

namespace emulated {

typedef unsigned long long address;

struct block {
    context *owner;
    size_t bytes;
    char *base; // the mapping, faulting pages included
    size_t mapped;
    uint16_t guard; // fills the gap
};

constexpr size_t PAGE = 4096, ALIGN = 256, FENCE = 1 << 20; // FENCE: of faulting pages on either side
constexpr unsigned char FRESH = 0xFF;
// The gaps' patterns: not a number either, unlike FRESH, and unlike the neighbours', so that a copied gap shows too.
constexpr uint16_t FIRST_GUARD = 0xFFF0, GUARDS = 13;
constexpr size_t GRAVES = 256;     // freed blocks whose addresses stay reserved, so that late accesses fault

static std::map<address, block> blocks;
static std::map<address, size_t> host_blocks;
static std::deque<block> graves;
static size_t used;

static size_t total() { return (size_t)number("DSL_EMULATED_MEMORY", 4l << 30); }

static size_t rounded(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

static uint16_t *gap(address at, const block &b) { return (uint16_t *)(at + rounded(b.bytes, 2)); }
static size_t gap_words(const block &b) { return (rounded(b.bytes, ALIGN) - rounded(b.bytes, 2)) / 2; }

static void fill_gap(address at, const block &b) {
    for (size_t i = 0; i < gap_words(b); i++) gap(at, b)[i] = b.guard;
}

static void check_guard(address at, const block &b) {
    for (size_t i = 0; i < gap_words(b); i++) {
        if (gap(at, b)[i] == b.guard) continue;
        problem("device memory: something wrote behind the end of an allocation of %zu bytes", b.bytes);
        fill_gap(at, b);
        return;
    }
}

void check_guards() {
    for (auto &entry : blocks) check_guard(entry.first, entry.second);
}

static int allocate(address *out, size_t bytes) {
    if (!bytes) return INVALID_VALUE;
    if (bytes > total() || used + rounded(bytes, ALIGN) > total()) return OUT_OF_MEMORY;
    size_t body = rounded(rounded(bytes, ALIGN), PAGE), mapped = body + 2 * FENCE;
    void *base = mmap(nullptr, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return OUT_OF_MEMORY;
    char *from = (char *)base + FENCE;
    mprotect(from, body, PROT_READ | PROT_WRITE);
    static unsigned made;
    block b = {current(), bytes, (char *)base, mapped, (uint16_t)(FIRST_GUARD + made++ % GUARDS)};
    *out = (address)(from + body - rounded(bytes, ALIGN));
    memset((void *)*out, FRESH, bytes);
    fill_gap(*out, b);
    blocks[*out] = b;
    used += rounded(bytes, ALIGN);
    count("memory", 1);
    return OK;
}

static void bury(std::map<address, block>::iterator it) {
    block b = it->second;
    check_guard(it->first, b);
    used -= rounded(b.bytes, ALIGN);
    blocks.erase(it);
    count("memory", -1);
    // Fresh pages that fault: the memory goes back at once.
    mmap(b.base, b.mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    graves.push_back(b);
    if (graves.size() > GRAVES) {
        munmap(graves.front().base, graves.front().mapped);
        graves.pop_front();
    }
}

void release_memory(context *c) {
    for (auto it = blocks.begin(); it != blocks.end();) {
        auto next = std::next(it);
        if (it->second.owner == c) bury(it);
        it = next;
    }
}

template <class M> static bool covered(const M &all, address at, size_t bytes, size_t (*size)(const typename M::mapped_type &)) {
    auto it = all.upper_bound(at);
    if (it == all.begin()) return false;
    --it;
    return at - it->first <= size(it->second) && bytes <= size(it->second) - (at - it->first);
}

bool inside(uint64_t at, size_t bytes) {
    return covered(blocks, (address)at, bytes, +[](const block &b) { return b.bytes; });
}

bool pinned(const void *p, size_t bytes) {
    return covered(host_blocks, (address)p, bytes, +[](const size_t &n) { return n; });
}

static int check_device(const char *call, address at, size_t bytes) {
    if (inside(at, bytes)) return OK;
    problem("%s: %zu bytes at %#llx do not lie inside one allocation", call, bytes, at);
    return INVALID_VALUE;
}

static int check_host(const char *call, const void *p, size_t bytes) {
    if (pinned(p, bytes)) return OK;
    problem("%s: the host's %zu bytes are not pinned memory: the copy would not be asynchronous", call, bytes);
    return INVALID_VALUE;
}

// Queues a copy between checked places.
static int push_copy(const char *call, void *handle, void *dst, const void *src, size_t bytes) {
    stream *s = find_stream(call, handle);
    if (!s) return INVALID_HANDLE;
    return push(s, call, [=] { memmove(dst, src, bytes); });
}

// Waits for what the default stream waits for, then sets count values.
template <class V> static int set(const char *call, address at, V value, size_t count) {
    if (int r = check_device(call, at, count * sizeof(V))) return r;
    if (int r = finish(find_stream(call, nullptr))) return r;
    for (size_t i = 0; i < count; i++) ((V *)at)[i] = value;
    return OK;
}

template <class V> static int set_async(const char *call, address at, V value, size_t count, void *handle) {
    if (int r = check_device(call, at, count * sizeof(V))) return r;
    stream *s = find_stream(call, handle);
    if (!s) return INVALID_HANDLE;
    return push(s, call, [=] {
        for (size_t i = 0; i < count; i++) ((V *)at)[i] = value;
    });
}

} // namespace emulated

using namespace emulated;

extern "C" __attribute__((visibility("default"))) bool emulated_inside(const void *device, size_t bytes) {
    locked held(lock);
    return inside((uint64_t)device, bytes);
}

API cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = total();
    return OK;
}

API cuMemGetInfo_v2(size_t *free, size_t *all) {
    ENTER;
    *all = total();
    *free = *all > used ? *all - used : 0;
    return OK;
}

API cuMemAlloc_v2(address *p, size_t bytes) {
    ENTER_UNSAFE;
    return allocate(p, bytes);
}

// The real one waits for the device too.
API cuMemFree_v2(address p) {
    ENTER_UNSAFE;
    if (!p) return OK;
    if (int r = finish_all(current())) return r;
    auto it = blocks.find(p);
    if (it == blocks.end()) {
        problem("%s: %#llx is no allocation, or was freed before", __func__, p);
        return INVALID_VALUE;
    }
    bury(it);
    return OK;
}

API cuMemGetAddressRange_v2(address *base, size_t *bytes, address p) {
    ENTER;
    if (!inside(p, 1)) return NOT_FOUND;
    auto it = --blocks.upper_bound(p);
    if (base) *base = it->first;
    if (bytes) *bytes = it->second.bytes;
    return OK;
}

API cuMemHostAlloc(void **p, size_t bytes, unsigned) {
    ENTER_UNSAFE;
    if (!bytes) return INVALID_VALUE;
    *p = aligned_alloc(PAGE, rounded(bytes, PAGE));
    if (!*p) return OUT_OF_MEMORY;
    memset(*p, FRESH, bytes);
    host_blocks[(address)*p] = bytes;
    count("pinned memory", 1);
    return OK;
}

API cuMemFreeHost(void *p) {
    ENTER_UNSAFE;
    auto it = host_blocks.find((address)p);
    if (it == host_blocks.end()) {
        problem("%s: no pinned memory, or freed before", __func__);
        return INVALID_VALUE;
    }
    if (int r = finish_all(current())) return r;
    host_blocks.erase(it);
    count("pinned memory", -1);
    free(p);
    return OK;
}

// Copies that wait. They are ordered with the default stream, not with streams made as non-blocking.
static int copy_now(const char *call, void *dst, const void *src, size_t bytes) {
    if (int r = finish(find_stream(call, nullptr))) return r;
    memmove(dst, src, bytes);
    return OK;
}

API cuMemcpyHtoD_v2(address dst, const void *src, size_t bytes) {
    ENTER_UNSAFE;
    if (int r = check_device(__func__, dst, bytes)) return r;
    return copy_now(__func__, (void *)dst, src, bytes);
}

API cuMemcpyDtoH_v2(void *dst, address src, size_t bytes) {
    ENTER_UNSAFE;
    if (int r = check_device(__func__, src, bytes)) return r;
    return copy_now(__func__, dst, (void *)src, bytes);
}

API cuMemcpyDtoD_v2(address dst, address src, size_t bytes) {
    ENTER_UNSAFE;
    if (int r = check_device(__func__, dst, bytes)) return r;
    if (int r = check_device(__func__, src, bytes)) return r;
    return copy_now(__func__, (void *)dst, (void *)src, bytes);
}

API cuMemcpyHtoDAsync_v2(address dst, const void *src, size_t bytes, void *s) {
    ENTER;
    if (int r = check_device(__func__, dst, bytes)) return r;
    if (int r = check_host(__func__, src, bytes)) return r;
    return push_copy(__func__, s, (void *)dst, src, bytes);
}

API cuMemcpyDtoHAsync_v2(void *dst, address src, size_t bytes, void *s) {
    ENTER;
    if (int r = check_device(__func__, src, bytes)) return r;
    if (int r = check_host(__func__, dst, bytes)) return r;
    return push_copy(__func__, s, dst, (void *)src, bytes);
}

API cuMemcpyDtoDAsync_v2(address dst, address src, size_t bytes, void *s) {
    ENTER;
    if (int r = check_device(__func__, dst, bytes)) return r;
    if (int r = check_device(__func__, src, bytes)) return r;
    return push_copy(__func__, s, (void *)dst, (void *)src, bytes);
}

API cuMemsetD8_v2(address p, unsigned char v, size_t n) {
    ENTER_UNSAFE;
    return set<uint8_t>(__func__, p, v, n);
}

API cuMemsetD32_v2(address p, unsigned v, size_t n) {
    ENTER_UNSAFE;
    return set<uint32_t>(__func__, p, v, n);
}

API cuMemsetD8Async(address p, unsigned char v, size_t n, void *s) {
    ENTER;
    return set_async<uint8_t>(__func__, p, v, n, s);
}

API cuMemsetD32Async(address p, unsigned v, size_t n, void *s) {
    ENTER;
    return set_async<uint32_t>(__func__, p, v, n, s);
}
