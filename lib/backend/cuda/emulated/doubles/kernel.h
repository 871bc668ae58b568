// How the kernels' sources, compiled as C++, reach the emulated driver: each registers itself with its parameters' types.
#pragma once
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace emulated {

typedef unsigned long long word; // one kernel parameter

struct kernel {
    std::string name;
    bool cooperates;        // its threads meet at barriers: they run as fibers, not one after the other
    std::string parameters; // p pointer, i integer, d double
    void (*code)();
    void (*call)(void (*code)(), const word *args);
};

std::map<std::string, kernel> &kernels();

template <class A> constexpr char parameter() {
    static_assert(sizeof(A) == 8, "kernel parameters have 8 bytes");
    static_assert(std::is_pointer_v<A> || std::is_same_v<A, long long> || std::is_same_v<A, double>);
    return std::is_pointer_v<A> ? 'p' : std::is_same_v<A, double> ? 'd' : 'i';
}

template <class... A, size_t... I> void call(void (*code)(A...), const word *args, std::index_sequence<I...>) {
    code(*(const A *)(const void *)&args[I]...);
}

struct registration {
    template <class... A> registration(const char *name, bool cooperates, void (*code)(A...)) {
        auto invoke = [](void (*f)(), const word *args) {
            call((void (*)(A...))f, args, std::index_sequence_for<A...>());
        };
        kernels()[name] = {name, cooperates, {parameter<A>()...}, (void (*)())code, invoke};
    }
};

constexpr int BLOCK_THREADS = 256;

// Runs a grid of blocks. False when threads wait at a barrier that others never reach; why says so.
bool run_grid(const kernel &k, unsigned grid_x, unsigned grid_y, const word *args, unsigned long long seed, std::string &why);

} // namespace emulated
