// Lloyd iterations: assignment by |c|^2 / 2 - c x in WORK, cluster sums in float64, in an order that depends on the
// size of the thread block alone.
//
// Loops that are rare or short are kept from being unrolled where that would take the registers of the others.
#pragma once
#include "kmeans_problem.cuh"

#define POINTS 2  // per thread and pass, so that a centre read once serves several points
#define EMPTY (-1)
#define FILLED (-2)

// Of the centres first .. first + C - 1 the nearest to each of the thread's points, if nearer than `best`.
template <int C>
__device__ __forceinline__ void compare(const Problem& p, int32 first, const int32 (&at)[POINTS], WORK (&best)[POINTS],
                                        int32 (&label)[POINTS]) {
    WORK scores[POINTS][C];
#pragma unroll
    for (int c = 0; c < C; ++c) {
#pragma unroll
        for (int q = 0; q < POINTS; ++q) scores[q][c] = p.half_norms[first + c];
    }
    const WORK *x = p.points, *row = p.centres + first;
#pragma unroll 2
    for (int32 f = 0; f < p.d; ++f, x += p.stride, row += p.padded) {
        WORK own[POINTS];
#pragma unroll
        for (int q = 0; q < POINTS; ++q) own[q] = x[at[q]];
#pragma unroll
        for (int quad = 0; quad < C / 4; ++quad) {
            const Quad four = ((const Quad*)row)[quad];
#pragma unroll
            for (int c = 0; c < 4; ++c) {
#pragma unroll
                for (int q = 0; q < POINTS; ++q) scores[q][4 * quad + c] -= four.value[c] * own[q];
            }
        }
    }
#pragma unroll
    for (int c = 0; c < C; ++c) {
#pragma unroll
        for (int q = 0; q < POINTS; ++q) {
            if (scores[q][c] < best[q]) best[q] = scores[q][c], label[q] = first + c;
        }
    }
}

// Gives point i, the lane's, its new label; the warp brings its sums of the clusters up to date by the points that
// moved, one after the other: 16 lanes add a point to its new cluster, 16 take it from its old one.
__device__ __forceinline__ void relabel(const Problem& p, int32 i, int32 label) {
    const int32 lane = threadIdx.x % 32;
    int32 old = i < p.n ? p.labels[i] : label;
    uint32 moved = __ballot_sync(ALL_LANES, old != label);
    if (moved == 0) return;
    if (old != label) {
        p.labels[i] = label;
        if (atomicAdd(p.counts + label, 1) == 0) atomicAdd(&p.exchange->n_occupied, 1);
        if (old != NO_LABEL && atomicSub(p.counts + old, 1) == 1) atomicSub(&p.exchange->n_occupied, 1);
    }
    if (lane == 0) atomicAdd(&p.exchange->n_moved, __popc(moved));
    double* sums = p.sums + (int64)(threadIdx.x / 32) * p.k * p.d;
    const int32 names = lane < 16 ? 0 : 16;
    const uint32 both = (uint32)old << 16 | (uint32)label;
    for (; moved; moved &= moved - 1) {
        int32 source = __ffs(moved) - 1;
        int32 cluster = __shfl_sync(ALL_LANES, both, source) >> names & 0xFFFF;
        if (cluster != NO_LABEL) {
            const WORK* x = p.points + (i - lane + source);
#pragma unroll 1
            for (int32 f = lane % 16; f < p.d; f += 16) {
                double value = (double)x[(int64)f * p.stride];
                sums[(int64)cluster * p.d + f] += lane < 16 ? value : -value;
            }
        }
        __syncwarp();
    }
}

// Gives every point its nearest centre, ties to the lowest. A warp owns the tiles of 32 points whose number is its own
// modulo the number of warps.
__device__ __forceinline__ void assign(const Problem& p) {
    const int32 step = blockDim.x, lane = threadIdx.x % 32;
    for (int32 tile = threadIdx.x - lane; tile < p.n; tile += POINTS * step) {
        int32 at[POINTS], label[POINTS];
        WORK best[POINTS];
#pragma unroll
        for (int q = 0; q < POINTS; ++q) {
            at[q] = smaller(tile + lane + q * step, p.n - 1);
            best[q] = (WORK)infinity();
            label[q] = 0;
        }
        int32 c = 0;
        for (; c + 8 <= p.padded; c += 8) compare<8>(p, c, at, best, label);
        if (c < p.padded) compare<4>(p, c, at, best, label);
#pragma unroll
        for (int q = 0; q < POINTS; ++q) relabel(p, tile + lane + q * step, label[q]);
    }
    __syncthreads();
}

__device__ __forceinline__ void set_half_norms(const Problem& p) {
    for (int32 c = threadIdx.x; c < p.padded; c += blockDim.x) {
        WORK norm = 0;
        for (int32 f = 0; f < p.d; ++f) norm += p.centres[(int64)f * p.padded + c] * p.centres[(int64)f * p.padded + c];
        p.half_norms[c] = c < p.k ? norm * WORK(0.5) : (WORK)infinity();
    }
    if (threadIdx.x == 0) p.exchange->n_moved = 0;
    __syncthreads();
}

// Squared distance of a point to its centre.
__device__ __forceinline__ double own_distance(const Problem& p, int32 i) {
    const WORK *x = p.points + i, *y = p.centres + p.labels[i];
    double total = 0;
#pragma unroll 1
    for (int32 f = 0; f < p.d; ++f, x += p.stride, y += p.padded) {
        double difference = (double)*x - (double)*y;
        total += difference * difference;
    }
    return total;
}

// Gives each empty cluster the point farthest from its centre, ties to the lowest, each point once. A cluster that
// loses its only point by that stays empty.
__device__ __forceinline__ void relocate_empty(const Problem& p) {
    const int32 size = p.k * p.d, warps = blockDim.x / 32;
    for (int32 e = threadIdx.x; e < size; e += blockDim.x) {
        for (int32 w = 0; p.counts[e / p.d] == 0 && w < warps; ++w) p.sums[(int64)w * size + e] = 0;
    }
    __syncthreads();
    for (int32 c = threadIdx.x; c < p.k; c += blockDim.x) {
        if (p.counts[c] == 0) p.counts[c] = EMPTY;
    }
    __syncthreads();
    for (int32 c = 0; c < p.k; ++c) {
        if (p.counts[c] != EMPTY) continue;
        double farthest = 0;
        int32 point = p.n;
        for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) {
            if (p.counts[p.labels[i]] < 0) continue;  // relocated already
            double distance = own_distance(p, i);
            if (distance > farthest) farthest = distance, point = i;
        }
        block_largest(farthest, point, p.exchange->parts);
        if (farthest <= 0) break;
        const int32 old = p.labels[point];
        __syncthreads();
        double* sums = p.sums + (int64)(point / 32 % warps) * size;
        for (int32 f = threadIdx.x; f < p.d; f += blockDim.x) {
            double value = (double)p.points[(int64)f * p.stride + point];
            sums[old * p.d + f] -= value;
            sums[c * p.d + f] = value;
        }
        if (threadIdx.x == 0) {
            p.labels[point] = c;
            p.counts[old] -= 1;
            p.counts[c] = FILLED;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) p.exchange->n_occupied = 0;
    __syncthreads();
    for (int32 c = threadIdx.x; c < p.k; c += blockDim.x) {
        if (p.counts[c] < 0) p.counts[c] = p.counts[c] == FILLED;
        if (p.counts[c] > 0) atomicAdd(&p.exchange->n_occupied, 1);
    }
    __syncthreads();
}

// Centres become cluster means, those of empty clusters stay; returns the sum of squared movements.
__device__ __forceinline__ double move_centres(const Problem& p) {
    const int32 size = p.k * p.d, warps = blockDim.x / 32;
    double shift = 0;
    for (int32 e = threadIdx.x; e < size; e += blockDim.x) {
        int32 c = e / p.d, count = p.counts[c];
        if (count == 0) continue;
        double sum = 0;
        for (int32 w = 0; w < warps; ++w) sum += p.sums[(int64)w * size + e];
        WORK& centre = p.centres[(int64)(e - c * p.d) * p.padded + c];
        double mean = sum / count, difference = mean - (double)centre;
        shift += difference * difference;
        centre = (WORK)mean;
    }
    shift = block_sum(shift, p.exchange->parts);
    set_half_norms(p);
    return shift;
}

// Lloyd iterations until labels repeat or centres move by at most `tol`, then one more assignment; returns how many.
__device__ __forceinline__ int32 iterate(const Problem& p, int32 max_iter, double tol) {
    for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) p.labels[i] = NO_LABEL;
    const int64 n_sums = (int64)(blockDim.x / 32) * p.k * p.d;
#pragma unroll 1
    for (int64 e = threadIdx.x; e < n_sums; e += blockDim.x) p.sums[e] = 0;
    for (int32 c = threadIdx.x; c < p.k; c += blockDim.x) p.counts[c] = 0;
    if (threadIdx.x == 0) p.exchange->n_occupied = 0;
    __syncthreads();
    set_half_norms(p);
    bool settled = false;
    for (int32 iteration = 1;; ++iteration) {
        assign(p);
        if (settled) return iteration - 1;
        if (p.exchange->n_moved == 0) return iteration;
        if (p.exchange->n_occupied < p.k) relocate_empty(p);
        settled = move_centres(p) <= tol || iteration >= max_iter;
    }
}
