// From the outside: a kernel's parameters as text, and a launch that takes a pointer to every argument, as CUDA's does.
#pragma once

namespace emulation {

// One parameter: i (int64), d (float64), or a pointer: "r" read-only or "w", what it points at, and its bytes.
template <typename T>
struct Parameter {
    static_assert(std::is_same<T, long long>::value || std::is_same<T, double>::value || std::is_pointer<T>::value,
                  "a kernel's parameters are pointers, int64 (long long) and double");
    static void describe(char*& out) {
        if constexpr (std::is_pointer<T>::value) {
            typedef typename std::remove_pointer<T>::type Item;
            typedef typename std::remove_cv<Item>::type Bare;
            const char kind = std::is_floating_point<Bare>::value ? 'f' : std::is_integral<Bare>::value ? 'i' : 'x';
            out += sprintf(out, "%c%c%d ", std::is_const<Item>::value ? 'r' : 'w', kind, (int)sizeof(Bare));
        } else {
            out += sprintf(out, "%c ", std::is_floating_point<T>::value ? 'd' : 'i');
        }
    }
};

template <typename Types, Types function>
struct Kernel;

template <typename... T, void (*function)(T...)>
struct Kernel<void (*)(T...), function> {
    static const char* signature() {
        static char text[8 * sizeof...(T) + 1];
        char* end = text;
        (Parameter<T>::describe(end), ...);
        *end = 0;
        return text;
    }
    template <size_t... I>
    static void spread(void* const* arguments, std::index_sequence<I...>) {
        function(*(T*)arguments[I]...);
    }
    static void invoke(void* const* arguments) { spread(arguments, std::index_sequence_for<T...>()); }
};

#ifdef __ELF__
__shared__ __attribute__((used)) unsigned char section_exists = 0;
extern "C" EMULATED_HIDDEN unsigned char __start_emulated_shared[], __stop_emulated_shared[];
inline void poison_static() { memset(__start_emulated_shared, 0xFF, __stop_emulated_shared - __start_emulated_shared); }
#else
inline void poison_static() {}
#endif

inline bool guard_is_intact(size_t bytes, size_t length) {
    for (size_t i = bytes; i < bytes + length; ++i) {
        if (shared[i] != GUARD_BYTE) {
            fail("block (%u, %u, %u) writes past its %zu bytes of shared memory, at byte %zu", blockIdx.x, blockIdx.y,
                 blockIdx.z, bytes, i);
            return false;
        }
    }
    return true;
}

inline void start_fibres(int threads) {
    if (!machine.stacks) {
        machine.stacks = (unsigned char*)mmap(0, STACK_STEP * MAX_THREADS, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    for (; machine.prepared < threads; ++machine.prepared) {
        prepare(machine.fibres[machine.prepared], machine.stacks + STACK_STEP * machine.prepared, thread_body);
    }
}

// The first of the launch bounds.
constexpr int most_threads(int threads = MAX_THREADS, ...) { return threads; }

// Returns null, or what went wrong. `order` & 1: warps and lanes descend in odd blocks, & 2: in even ones, & 4: blocks do.
inline const char* launch(void (*invoke)(void* const*), void* const* arguments, const unsigned* grid, int block,
                          size_t bytes, int order) {
    machine.failed = false;
    machine.invoke = invoke;
    machine.arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {(unsigned)block, 1, 1};
    threadIdx = {0, 0, 0};
    start_fibres(block);
    memset(shared + bytes, GUARD_BYTE, sizeof shared - bytes);
    const unsigned long long plane = (unsigned long long)grid[0] * grid[1], blocks = plane * grid[2];
    for (unsigned long long turn = 0; turn < blocks; ++turn) {
        const unsigned long long index = order & 4 ? blocks - 1 - turn : turn;
        blockIdx = {(unsigned)(index % grid[0]), (unsigned)(index % plane / grid[0]), (unsigned)(index / plane)};
        machine.descending = order >> (index & 1 ? 0 : 1) & 1;
        memset(shared, 0xFF, bytes);
        poison_static();
        run_block();
        if (machine.failed || !guard_is_intact(bytes, GUARD)) return machine.message;
    }
    guard_is_intact(bytes, sizeof shared - bytes);
    return machine.failed ? machine.message : 0;
}

}  // namespace emulation

#define EMULATED_EXPORT extern "C" __attribute__((visibility("default")))
#define EMULATED_KERNEL(name, ...)                                                                                \
    EMULATED_EXPORT int emulated_bound_##name() { return emulation::most_threads(__VA_ARGS__); }                  \
    EMULATED_EXPORT const char* emulated_signature_##name() {                                                     \
        return emulation::Kernel<decltype(&name), &name>::signature();                                            \
    }                                                                                                             \
    EMULATED_EXPORT const char* emulated_launch_##name(void* const* arguments, const unsigned* grid, int block,   \
                                                       size_t bytes, int order) {                                 \
        return emulation::launch(emulation::Kernel<decltype(&name), &name>::invoke, arguments, grid, block, bytes, \
                                 order);                                                                          \
    }
