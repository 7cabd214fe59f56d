// Types and small device functions that every kernel shares. The only header there is: no C standard header, no
// CUDA library header, so that NVRTC needs nothing beside itself.
//
// STORE, WORK, INDEX and BITS are defined in front of the source, see sources.py. 16-bit floats are their bits; they are
// only ever read, and widening them is exact.
#pragma once

typedef int int32;
typedef long long int64;
typedef unsigned short uint16;
typedef unsigned int uint32;
typedef unsigned long long uint64;

struct float16 {
    uint16 bits;
};
struct bfloat16 {
    uint16 bits;
};

__device__ inline float widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }

__device__ inline float widen(bfloat16 x) {
    union {
        uint32 bits;
        float value;
    } out;
    out.bits = (uint32)x.bits << 16;
    return out.value;
}

__device__ inline float widen(float16 x) {
#ifdef NETSPECTRA_EMULATION
    return emulated_half_to_float(x.bits);
#else
    float out;
    asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(x.bits));
    return out;
#endif
}

// |x| in the type W: the weight of an edge.
template <typename W, typename S>
__device__ inline W magnitude(S x) {
    W value = (W)widen(x);
    return value < W(0) ? -value : value;
}

template <typename T>
__device__ inline T smaller(T a, T b) {
    return b < a ? b : a;
}

// First of the indices that thread `threadIdx.x` of this row of blocks visits, and the step to the next.
__device__ inline int64 first_index() { return (int64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int64 index_step() { return (int64)gridDim.x * blockDim.x; }
