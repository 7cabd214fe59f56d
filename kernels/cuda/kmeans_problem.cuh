// What one thread block of k-means works on: the points of one member and where everything else is.
//
// Points are stored feature by feature, so that 32 threads of a warp read 32 neighbours. The stride between features is
// odd, so that they read the features of one point without bank conflicts as well.
#pragma once
#include "reduce.cuh"

#define TRIALS 4        // candidates whose potentials are summed up in one pass over the points
#define NO_LABEL 65535  // of a point before its first assignment; hence at most 65,534 clusters

__device__ inline double infinity() { return __longlong_as_double(0x7FF0000000000000ll); }

// Four neighbouring numbers, read at once.
struct alignas(16) Quad {
    WORK value[4];
};

// What the threads of a block tell each other.
struct alignas(16) Exchange {
    double parts[TRIALS * 32];
    int32 candidates[16];  // 2 + floor(ln 65,534) = 13 are needed
    int32 n_moved, n_occupied;
};

static_assert(sizeof(Exchange) == 1104, "see kmeans.py");

struct Problem {
    int32 n, d, k;
    int32 padded;        // k rounded up to a multiple of 4
    int32 stride;        // n rounded up to an odd number
    const WORK* points;  // (d, stride)
    WORK* closest;       // (n,) squared distance to the nearest centre while seeding
    uint16* labels;      // (n,)
    WORK* centres;       // (d, padded)
    WORK* half_norms;    // (padded,) infinite beyond k
    int32* counts;       // (k,) points per cluster
    double* sums;        // (warps, k, d) sums of the points of each cluster, by the warps that own the points
    Exchange* exchange;
};

// Divides the memory of a thread block as `Plan` of kmeans.py counts it: `near` is shared memory, `far` the
// rest. Both begin at a multiple of 16 bytes.
template <bool ON_CHIP>
__device__ __forceinline__ void place(Problem& p, unsigned char* near, unsigned char* far, const WORK* packed,
                                      int64 n_sums, bool centres_near) {
    p.exchange = (Exchange*)near;
    near += sizeof(Exchange);
    unsigned char* middle = ON_CHIP || centres_near ? near : far;
    p.sums = (double*)middle;
    p.centres = (WORK*)(p.sums + n_sums);
    p.half_norms = p.centres + (int64)p.d * p.padded;
    p.counts = (int32*)(p.half_norms + p.padded);
    if (ON_CHIP) {
        WORK* copy = (WORK*)(p.counts + p.padded);
        p.closest = copy + (int64)p.d * p.stride;
        for (int64 e = threadIdx.x; e < (int64)p.d * p.stride; e += blockDim.x) copy[e] = packed[e];
        p.points = copy;
    } else {
        p.closest = (WORK*)(centres_near ? far : (unsigned char*)(p.counts + p.padded));
        p.points = packed;
    }
    p.labels = (uint16*)(p.closest + p.stride);
    for (int32 e = threadIdx.x; e < p.d * p.padded; e += blockDim.x) p.centres[e] = 0;
    __syncthreads();
}
