// Keyed normal numbers, and the resampling of weights for the KDE null models. Kernels, because CuPy's generators cannot
// be keyed per element, so that a replicate's numbers would depend on the batch it comes in.
// Twin: kernels/reference/random.py.
#include "common.cuh"
#include "philox.cuh"

#define TWO_PI 6.283185307179586476925286766559

// Standard normal number of an element, by Box and Muller.
__device__ inline double normal(uint64 element, const uint32* key) {
    uint32 words[4];
    philox4x32((uint32)element, (uint32)(element >> 32), 0, 0, key[0], key[1], words);
    double u = ((double)words[0] + 0.5) * (1.0 / 4294967296.0);
    return sqrt(-2.0 * log(u)) * cos(TWO_PI * (double)words[1] * (1.0 / 4294967296.0));
}

// out[b, e] = normal number e of key b. Grid (any, members); keys (members, 2).
extern "C" __global__ void standard_normals(const uint32* __restrict__ keys, int64 count, WORK* __restrict__ out) {
    int64 member = blockIdx.y;
    for (int64 e = first_index(); e < count; e += index_step()) {
        out[member * count + e] = (WORK)normal(e, keys + 2 * member);
    }
}

// marks[b, p] = 1 where values[b, p] is not zero. Grid (any, members).
extern "C" __global__ void mark_nonzero(const STORE* __restrict__ values, int64 count, int64* __restrict__ marks) {
    int64 start = blockIdx.y * count;
    for (int64 p = first_index(); p < count; p += index_step()) {
        marks[start + p] = widen(values[start + p]) != 0;
    }
}

// packed[b, rank - 1] = values[b, p] for the non-zeros, `ranks` being the running count of non-zeros. Grid (any, members).
extern "C" __global__ void pack_nonzero(const STORE* __restrict__ values, const int64* __restrict__ ranks, int64 count,
                                        WORK* __restrict__ packed) {
    int64 start = blockIdx.y * count;
    for (int64 p = first_index(); p < count; p += index_step()) {
        WORK value = (WORK)widen(values[start + p]);
        if (value != WORK(0)) packed[start + ranks[start + p] - 1] = value;
    }
}

// out[b, p] = |packed[j] + bandwidth z| where the r-th non-zero stands, zero elsewhere; j (64 random bits times the
// number of non-zeros, high word) and z are keyed by r. Grid (any, members); ranks and packed may be shared.
extern "C" __global__ void resample(const int64* __restrict__ ranks, const WORK* __restrict__ packed, int64 shared_by,
                                    int64 count, const uint32* __restrict__ index_keys,
                                    const uint32* __restrict__ noise_keys, double bandwidth, WORK* __restrict__ out) {
    int64 member = blockIdx.y, start = shared_by ? 0 : member * count;
    ranks += start;
    packed += start;
    uint64 total = ranks[count - 1];
    for (int64 p = first_index(); p < count; p += index_step()) {
        bool occupied = ranks[p] != (p ? ranks[p - 1] : 0);
        WORK value = WORK(0);
        if (occupied) {
            uint64 r = ranks[p] - 1;
            uint32 words[4];
            philox4x32((uint32)r, (uint32)(r >> 32), 0, 0, index_keys[2 * member], index_keys[2 * member + 1], words);
            uint64 chosen = (words[0] * total + ((words[1] * total) >> 32)) >> 32;
            double drawn = (double)packed[chosen] + bandwidth * normal(r, noise_keys + 2 * member);
            value = (WORK)(drawn < 0 ? -drawn : drawn);
        }
        out[member * count + p] = value;
    }
}
