// Philox4x32-10, the generator behind every random number, see kernels/philox.py.
#pragma once
#include "common.cuh"

// Four words of one counter and key.
__device__ inline void philox4x32(uint32 c0, uint32 c1, uint32 c2, uint32 c3, uint32 k0, uint32 k1,
                                  uint32 (&words)[4]) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        uint32 high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        uint32 high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0;
    words[1] = c1;
    words[2] = c2;
    words[3] = c3;
}

// Uniform number in [0, 1) with 53 bits, of counter (c0, c1, c2, 0).
__device__ inline double uniform_double(uint32 c0, uint32 c1, uint32 c2, const uint32* key) {
    uint32 words[4];
    philox4x32(c0, c1, c2, 0, key[0], key[1], words);
    return ((double)(words[0] >> 5) * 67108864.0 + (double)(words[1] >> 6)) * (1.0 / 9007199254740992.0);
}
