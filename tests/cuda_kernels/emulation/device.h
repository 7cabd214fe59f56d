// The part of the CUDA C++ language and device library that kernels of this package may use.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
// Blocks run one after the other, so one copy will do. On ELF it lies in a section of its own, which is overwritten before
// every block (but for templates, whose statics g++ puts elsewhere). host_compiler.py drops the word where `extern`
// stands in front.
#ifdef __ELF__
#define __shared__ static __attribute__((section("emulated_shared")))
#else
#define __shared__ static
#endif

// Dynamic shared memory, under the one name that kernels give it. Like the kernels in an unnamed namespace: what is
// inline elsewhere would be merged by the linker, and must not share a section with what is not.
namespace {
alignas(128) unsigned char shared[emulation::MAX_SHARED + emulation::GUARD];
}

#define EMULATED_LINE int line = __builtin_LINE()

// -- bits --------------------------------------------------------------------------------------------------------

namespace emulation {
template <typename To, typename From>
inline To same_bits(From value) {
    static_assert(sizeof(To) >= sizeof(From) || sizeof(From) == 8, "");
    To out = To();
    memcpy(&out, &value, sizeof(To) < sizeof(From) ? sizeof(To) : sizeof(From));
    return out;
}
}  // namespace emulation

inline float __int_as_float(int x) { return emulation::same_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emulation::same_bits<float>(x); }
inline int __float_as_int(float x) { return emulation::same_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emulation::same_bits<unsigned>(x); }
inline double __longlong_as_double(long long x) { return emulation::same_bits<double>(x); }
inline long long __double_as_longlong(double x) { return emulation::same_bits<long long>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline unsigned __brev(unsigned x) {
    unsigned out = 0;
    for (int bit = 0; bit < 32; ++bit) out |= (x >> bit & 1u) << (31 - bit);
    return out;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)(((unsigned long long)high << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (shift & 31));
}

// -- numbers -----------------------------------------------------------------------------------------------------

template <typename A, typename B>
inline typename std::common_type<A, B>::type min(A a, B b) {
    typedef typename std::common_type<A, B>::type T;
    if constexpr (std::is_floating_point<T>::value) return fmin((T)a, (T)b);
    else return (T)b < (T)a ? (T)b : (T)a;
}
template <typename A, typename B>
inline typename std::common_type<A, B>::type max(A a, B b) {
    typedef typename std::common_type<A, B>::type T;
    if constexpr (std::is_floating_point<T>::value) return fmax((T)a, (T)b);
    else return (T)a < (T)b ? (T)b : (T)a;
}

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline double __uint2double_rn(unsigned x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }

// IEEE binary16, every bit pattern; a signalling NaN becomes quiet as it does in cvt.f32.f16.
inline float emulated_half_to_float(unsigned short bits) {
    const unsigned sign = (unsigned)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) return __uint_as_float(sign | 0x7F800000u | fraction << 13 | (fraction ? 0x00400000u : 0u));
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * ((float)fraction * 5.9604644775390625e-8f);  // 2 ** -24
    return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
}

// -- memory ------------------------------------------------------------------------------------------------------

struct __align__(8) float2 { float x, y; };
struct __align__(16) float4 { float x, y, z, w; };
struct __align__(8) int2 { int x, y; };
struct __align__(16) int4 { int x, y, z, w; };
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
struct __align__(16) double2 { double x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

template <typename T> inline T __ldg(const T* p) { return *p; }
template <typename T> inline T __ldcs(const T* p) { return *p; }
template <typename T> inline T __ldcg(const T* p) { return *p; }
template <typename T> inline void __stcs(T* p, T value) { *p = value; }
template <typename T> inline void __stcg(T* p, T value) { *p = value; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __trap() {
    emulation::fail("thread %u calls __trap", threadIdx.x);
    emulation::die();
}

// Threads change only at barriers and warp operations: plain read-modify-write is atomic. The overloads are CUDA's.
#define EMULATED_ATOMIC(T, name, value_after)      \
    inline T name(T* address, T operand) {         \
        const T old = *address;                    \
        *address = (value_after);                  \
        return old;                                \
    }
#define EMULATED_ATOMICS(T)                                            \
    EMULATED_ATOMIC(T, atomicMin, operand < old ? operand : old)       \
    EMULATED_ATOMIC(T, atomicMax, operand > old ? operand : old)       \
    EMULATED_ATOMIC(T, atomicAnd, old & operand)                       \
    EMULATED_ATOMIC(T, atomicOr, old | operand)                        \
    EMULATED_ATOMIC(T, atomicXor, old ^ operand)
EMULATED_ATOMICS(int)
EMULATED_ATOMICS(unsigned)
EMULATED_ATOMICS(long long)
EMULATED_ATOMICS(unsigned long long)
EMULATED_ATOMIC(int, atomicAdd, (int)((unsigned)old + (unsigned)operand))
EMULATED_ATOMIC(unsigned, atomicAdd, old + operand)
EMULATED_ATOMIC(unsigned long long, atomicAdd, old + operand)
EMULATED_ATOMIC(float, atomicAdd, old + operand)
EMULATED_ATOMIC(double, atomicAdd, old + operand)
EMULATED_ATOMIC(int, atomicSub, (int)((unsigned)old - (unsigned)operand))
EMULATED_ATOMIC(unsigned, atomicSub, old - operand)
EMULATED_ATOMIC(unsigned, atomicInc, old >= operand ? 0u : old + 1u)
EMULATED_ATOMIC(unsigned, atomicDec, old == 0u || old > operand ? operand : old - 1u)
EMULATED_ATOMIC(int, atomicExch, operand)
EMULATED_ATOMIC(unsigned, atomicExch, operand)
EMULATED_ATOMIC(unsigned long long, atomicExch, operand)
EMULATED_ATOMIC(float, atomicExch, operand)
#define EMULATED_CAS(T)                                            \
    inline T atomicCAS(T* address, T expected, T desired) {        \
        const T old = *address;                                    \
        if (old == expected) *address = desired;                   \
        return old;                                                \
    }
EMULATED_CAS(int)
EMULATED_CAS(unsigned)
EMULATED_CAS(unsigned long long)
EMULATED_CAS(unsigned short)

// -- barriers, shuffles, votes -----------------------------------------------------------------------------------

inline void __syncthreads(EMULATED_LINE) { emulation::wait_at_barrier(line, 0); }
inline int __syncthreads_count(int predicate, EMULATED_LINE) {
    emulation::wait_at_barrier(line, predicate != 0);
    return emulation::machine.counted;
}
inline int __syncthreads_or(int predicate, EMULATED_LINE) { return __syncthreads_count(predicate, line) != 0; }
inline int __syncthreads_and(int predicate, EMULATED_LINE) { return __syncthreads_count(!predicate, line) == 0; }
inline void __syncwarp(unsigned mask = ~0u, EMULATED_LINE) { emulation::meet(emulation::SYNC, mask, 0, line); }

namespace emulation {

template <typename T>
inline T exchange(unsigned mask, T value, int source, int line) {
    meet(SHUFFLE, mask, same_bits<unsigned long long>(value), line);
    const Warp& warp = *machine.warp;
    return same_bits<T>(warp.present >> source & 1u ? warp.seen[source] : ~0ull);
}

inline unsigned vote(unsigned mask, int predicate, int line) {
    meet(BALLOT, mask, predicate != 0, line);
    const Warp& warp = *machine.warp;
    unsigned out = 0;
    for (unsigned rest = mask & warp.present; rest; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        out |= (unsigned)warp.seen[lane] << lane;
    }
    return out;
}

}  // namespace emulation

#define EMULATED_SHUFFLES(T)                                                                                     \
    inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATED_LINE) {                    \
        const int lane = emulation::machine.lane;                                                                \
        return emulation::exchange(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), line);           \
    }                                                                                                            \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATED_LINE) {           \
        const int lane = emulation::machine.lane;                                                                \
        const bool inside = (lane & (width - 1)) + delta < (unsigned)width;                                      \
        return emulation::exchange(mask, value, inside ? lane + (int)delta : lane, line);                        \
    }                                                                                                            \
    inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, EMULATED_LINE) {             \
        const int lane = emulation::machine.lane;                                                                \
        const bool inside = (unsigned)(lane & (width - 1)) >= delta;                                             \
        return emulation::exchange(mask, value, inside ? lane - (int)delta : lane, line);                        \
    }                                                                                                            \
    inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EMULATED_LINE) {                  \
        const int lane = emulation::machine.lane, other = lane ^ bits;                                           \
        const bool inside = other < ((lane + width) & ~(width - 1));                                             \
        return emulation::exchange(mask, value, inside ? other : lane, line);                                    \
    }
EMULATED_SHUFFLES(int)
EMULATED_SHUFFLES(unsigned)
EMULATED_SHUFFLES(long long)
EMULATED_SHUFFLES(unsigned long long)
EMULATED_SHUFFLES(float)
EMULATED_SHUFFLES(double)

inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATED_LINE) {
    return emulation::vote(mask, predicate, line);
}
inline int __any_sync(unsigned mask, int predicate, EMULATED_LINE) {
    return emulation::vote(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMULATED_LINE) {
    return emulation::vote(mask, !predicate, line) == 0;
}
