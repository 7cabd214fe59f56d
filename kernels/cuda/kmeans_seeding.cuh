// Greedy k-means++: of 2 + floor(ln k) candidates drawn by squared distance, each centre is the one of least potential.
#pragma once
#include "kmeans_problem.cuh"
#include "philox.cuh"

// closest[i] = squared distance of point i to the given point, or what it was if that is less.
__device__ __forceinline__ void approach(const Problem& p, int32 point, bool first) {
    for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) {
        WORK distance = 0;
        const WORK *x = p.points + i, *y = p.points + point;
        for (int32 f = 0; f < p.d; ++f, x += p.stride, y += p.stride) distance += (*x - *y) * (*x - *y);
        p.closest[i] = first ? distance : smaller(p.closest[i], distance);
    }
}

struct Crossing {
    int32 lane;    // the first at which the running sum exceeds the threshold, -1: none
    int32 last;    // the last with weight, -1: none
    double before; // sum in front of `lane`, or of `last` where that is -1
    double total;  // sum with all 32
};

// Where `before` and the running sum of the lanes' weights exceed a threshold; never at a lane without weight.
__device__ __forceinline__ Crossing find_crossing(double weight, double before, double threshold) {
    double sum = before + warp_running_sum(weight);
    uint32 heavy = __ballot_sync(ALL_LANES, weight > 0), beyond = __ballot_sync(ALL_LANES, sum > threshold) & heavy;
    Crossing out;
    out.lane = __ffs(beyond) - 1;
    out.last = 31 - __clz(heavy);
    int32 lane = out.lane < 0 ? out.last : out.lane;
    double previous = __shfl_sync(ALL_LANES, sum, lane > 0 ? lane - 1 : 0);
    out.before = lane > 0 ? previous : before;
    out.total = __shfl_sync(ALL_LANES, sum, 31);
    return out;
}

// One warp draws the point in whose share of the summed distances `u` times their total falls: it searches the sums of
// the warps (exchange->parts), those of the threads' chunks (p.sums), then the points of one chunk. Each is summed up
// in an order of its own, so that by rounding there may be no crossing: then the last with weight is taken.
__device__ __forceinline__ int32 draw_point(const Problem& p, int32 chunk, double u) {
    const int32 warps = blockDim.x / 32, lane = threadIdx.x % 32;
    const double* parts = p.exchange->parts;
    double total = sum_of_warps(parts), threshold = u * total, before = 0;
    if (!(threshold < total)) return p.n - 1;  // no weight at all
    int32 warp = 0;
    while (warp < warps - 1 && !(before + parts[warp] > threshold)) before += parts[warp++];
    Crossing found = find_crossing(p.sums[warp * 32 + lane], before, threshold);
    int32 start = (warp * 32 + (found.lane < 0 ? found.last : found.lane)) * chunk;
    int32 end = smaller(start + chunk, p.n), last = start;
    before = found.before;
    for (; start < end; start += 32) {
        int32 i = start + lane;
        found = find_crossing(i < end ? (double)p.closest[i] : 0.0, before, threshold);
        if (found.lane >= 0) return start + found.lane;
        if (found.last >= 0) last = start + found.last;
        before = found.total;
    }
    return last;
}

// Draws the candidates for centre c into exchange->candidates. A thread sums up the distances of one chunk of points;
// chunks have odd lengths, so that 32 threads read them without bank conflicts.
__device__ __forceinline__ void draw_candidates(const Problem& p, int32 restart, int32 c, int32 n_trials,
                                                const uint32* key) {
    const int32 chunk = ((p.n + (int32)blockDim.x - 1) / (int32)blockDim.x) | 1;
    const int64 start = (int64)threadIdx.x * chunk;
    double sum = 0;
    for (int64 i = start; i < start + chunk && i < p.n; ++i) sum += (double)p.closest[i];
    p.sums[threadIdx.x] = sum;
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) p.exchange->parts[threadIdx.x / 32] = sum;
    __syncthreads();
    for (int32 t = threadIdx.x / 32; t < n_trials; t += blockDim.x / 32) {
        int32 candidate = draw_point(p, chunk, uniform_double(restart, c, t, key));
        if (threadIdx.x % 32 == 0) p.exchange->candidates[t] = candidate;
    }
    __syncthreads();
}

// Sums the potentials that TRIALS candidates from number `first` on would leave; in lane t of every warp that of
// candidate first + t. Of those beyond the last, the last stands in.
__device__ __forceinline__ double potential_of_lane(const Problem& p, int32 first, int32 n_trials) {
    WORK* coordinates = (WORK*)p.sums;  // (d, TRIALS)
    for (int32 e = threadIdx.x; e < p.d * TRIALS; e += blockDim.x) {
        int32 candidate = p.exchange->candidates[smaller(first + e % TRIALS, n_trials - 1)];
        coordinates[e] = p.points[(int64)(e / TRIALS) * p.stride + candidate];
    }
    __syncthreads();
    double potentials[TRIALS] = {};
    for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) {
        WORK distances[TRIALS] = {}, least = p.closest[i];
        const WORK* x = p.points + i;
#pragma unroll 2
        for (int32 f = 0; f < p.d; ++f, x += p.stride) {
            Quad y = ((const Quad*)coordinates)[f];
#pragma unroll
            for (int t = 0; t < TRIALS; ++t) distances[t] += (*x - y.value[t]) * (*x - y.value[t]);
        }
#pragma unroll
        for (int t = 0; t < TRIALS; ++t) potentials[t] += (double)smaller(least, distances[t]);
    }
#pragma unroll
    for (int t = 0; t < TRIALS; ++t) {
        double part = warp_sum(potentials[t]);
        if (threadIdx.x % 32 == 0) p.exchange->parts[t * 32 + threadIdx.x / 32] = part;
    }
    __syncthreads();
    return sum_of_warps(p.exchange->parts + threadIdx.x % TRIALS * 32);
}

// Chooses the centres of one restart.
__device__ __forceinline__ void seed_centres(const Problem& p, int32 restart, int32 n_trials, const uint32* key) {
    int32 point = smaller((int32)(uniform_double(restart, 0, 0, key) * p.n), p.n - 1);
    bool nearer = true;  // whether the chosen centre was a candidate
    for (int32 c = 0;; ++c) {
        for (int32 f = threadIdx.x; f < p.d; f += blockDim.x) {
            p.centres[(int64)f * p.padded + c] = p.points[(int64)f * p.stride + point];
        }
        if (c + 1 == p.k) return;
        if (nearer) approach(p, point, c == 0);
        __syncthreads();
        draw_candidates(p, restart, c + 1, n_trials, key);
        double least = infinity();
        point = 0;
        nearer = false;
        for (int32 first = 0; first < n_trials; first += TRIALS) {
            double mine = potential_of_lane(p, first, n_trials);
            for (int32 t = 0; t < smaller(TRIALS, n_trials - first); ++t) {
                double potential = __shfl_sync(ALL_LANES, mine, t);
                if (potential < least) {
                    least = potential;
                    point = p.exchange->candidates[first + t];
                    nearer = true;
                }
            }
        }
    }
}
