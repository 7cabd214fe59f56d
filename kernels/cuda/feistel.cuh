// The keyed bijection of netspectra/kernels/keys.py, bit for bit: an alternating Feistel network on left_bits +
// right_bits bits, walked into {0 .. size-1}, then one keyed transposition.
#pragma once
#include "common.cuh"

#define ROUNDS 24
#define MIX_1 0x85EBCA6Bu
#define MIX_2 0xC2B2AE35u

struct Bijection {
    uint32 keys[ROUNDS];
    int64 first, second;
    int64 size;
    int right_bits;
    uint32 left_mask, right_mask;
};

__device__ inline uint32 mix(uint32 x) {
    x *= MIX_1;
    x ^= x >> 13;
    x *= MIX_2;
    return x ^ (x >> 16);
}

// Fill a Bijection in shared memory from the keys of one replicate; all threads of the block take part.
__device__ inline void load_bijection(Bijection& pi, const uint32* rounds, const int64* swaps, int64 size,
                                      int64 left_bits, int64 right_bits) {
    if (threadIdx.x < ROUNDS) pi.keys[threadIdx.x] = rounds[threadIdx.x];
    if (threadIdx.x == 0) {
        pi.first = swaps[0];
        pi.second = swaps[1];
        pi.size = size;
        pi.right_bits = (int)right_bits;
        pi.left_mask = (uint32)((1ull << left_bits) - 1);
        pi.right_mask = (uint32)((1ull << right_bits) - 1);
    }
    __syncthreads();
}

__device__ inline int64 image_of(int64 place, const Bijection& pi) {
    do {
        uint32 left = (uint32)(place >> pi.right_bits), right = (uint32)place & pi.right_mask;
#pragma unroll
        for (int r = 0; r < ROUNDS; r += 2) {
            left ^= mix(right ^ pi.keys[r]) & pi.left_mask;
            right ^= mix(left ^ pi.keys[r + 1]) & pi.right_mask;
        }
        place = ((int64)left << pi.right_bits) | right;
    } while (place >= pi.size);
    // where nothing is exchanged the two are equal
    return place == pi.first ? pi.second : place == pi.second ? pi.first : place;
}
