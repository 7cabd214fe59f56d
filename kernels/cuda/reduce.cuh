// Sums, running sums and votes over a warp or a thread block, always in the same order.
#pragma once
#include "common.cuh"

#define ALL_LANES 0xFFFFFFFFu

// Sum over the warp, the same bits in every lane.
__device__ __forceinline__ double warp_sum(double value) {
#pragma unroll
    for (int distance = 16; distance; distance /= 2) value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

// Sum of the values of this lane and of those before it.
__device__ __forceinline__ double warp_running_sum(double value) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        double before = __shfl_up_sync(ALL_LANES, value, distance);
        if (lane >= distance) value += before;
    }
    return value;
}

// Sum of one value per warp, in the order of the warps.
__device__ __forceinline__ double sum_of_warps(const double* parts) {
    const int warps = blockDim.x / 32;
    double total = 0;
    for (int w = 0; w < warps; ++w) total += parts[w];
    return total;
}

// Sum over the thread block, the same bits in every thread; `parts` is shared memory, one double per warp. All that was
// written before it by any thread is seen by all after it.
__device__ __forceinline__ double block_sum(double value, double* parts) {
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    double total = sum_of_warps(parts);
    __syncthreads();
    return total;
}

// The largest value over the thread block and its index, ties to the lowest index; `parts` is shared memory, two
// doubles per warp.
__device__ __forceinline__ void block_largest(double& value, int32& index, double* parts) {
    const int warps = blockDim.x / 32;
#pragma unroll
    for (int distance = 16; distance; distance /= 2) {
        double other = __shfl_xor_sync(ALL_LANES, value, distance);
        int32 its = __shfl_xor_sync(ALL_LANES, index, distance);
        if (other > value || (other == value && its < index)) value = other, index = its;
    }
    if (threadIdx.x % 32 == 0) {
        parts[threadIdx.x / 32] = value;
        parts[warps + threadIdx.x / 32] = index;
    }
    __syncthreads();
    for (int w = 0; w < warps; ++w) {
        double other = parts[w];
        int32 its = (int32)parts[warps + w];
        if (other > value || (other == value && its < index)) value = other, index = its;
    }
    __syncthreads();
}
