// Weight between clusters, in float64 and in a fixed order. A kernel, because a library would need a float64 copy of |W|
// (a product with 0/1 matrices) or atomics, whose order is not fixed. Twin: ReferenceBackend.cluster_sums.
//
// A thread block adds up what goes from one cluster to SPAN others: it passes over the rows of the one, its threads side
// by side along the columns. Label -1 counts as cluster k.
#include "reduce.cuh"

#define SPAN 8
#define THREADS 256

__device__ inline int64 cluster_of(int32 label, int64 n_clusters) { return label < 0 ? n_clusters : label; }

__device__ inline void add_to(double (&sums)[SPAN], int64 place, double w) {
#pragma unroll
    for (int q = 0; q < SPAN; ++q) sums[q] += place == q ? w : 0.0;
}

// Write the sums of a thread block to row `from` of one (k + 1, k + 1) matrix.
__device__ inline void write_sums(const double (&sums)[SPAN], double* out, int64 from, int64 first, int64 n_clusters) {
    __shared__ double parts[THREADS / 32];
#pragma unroll
    for (int q = 0; q < SPAN; ++q) {
        double total = block_sum(sums[q], parts);
        if (threadIdx.x == 0 && first + q <= n_clusters) out[from * (n_clusters + 1) + first + q] = total;
    }
}

// Grid (spans of clusters, source clusters * parts of the rows, members); W by strides of members, rows and columns;
// source (members, m), target (members, n); out (members, parts, k + 1, k + 1).
extern "C" __global__ void __launch_bounds__(THREADS) cluster_sums_dense(
    const STORE* __restrict__ W, int64 W_member, int64 W_row, int64 m, int64 n, const int32* __restrict__ source,
    const int32* __restrict__ target, int64 n_clusters, int64 parts, double* __restrict__ out) {
    int64 member = blockIdx.z, from = blockIdx.y / parts, part = blockIdx.y % parts, first = (int64)blockIdx.x * SPAN;
    W += member * W_member;
    source += member * m;
    target += member * n;
    double sums[SPAN] = {};
    for (int64 i = m * part / parts; i < m * (part + 1) / parts; ++i) {
        if (cluster_of(source[i], n_clusters) != from) continue;
        for (int64 j = threadIdx.x; j < n; j += THREADS) {
            add_to(sums, cluster_of(target[j], n_clusters) - first, magnitude<double>(W[i * W_row + j]));
        }
    }
    write_sums(sums, out + (member * parts + part) * (n_clusters + 1) * (n_clusters + 1), from, first, n_clusters);
}

// The same over CSR: each warp takes rows of the source cluster in turn.
extern "C" __global__ void __launch_bounds__(THREADS) cluster_sums_csr(
    const STORE* __restrict__ values, int64 values_member, const INDEX* __restrict__ indices, int64 indices_member,
    const int64* __restrict__ indptr, int64 indptr_member, int64 m, int64 n, const int32* __restrict__ source,
    const int32* __restrict__ target, int64 n_clusters, int64 parts, double* __restrict__ out) {
    int64 member = blockIdx.z, from = blockIdx.y / parts, part = blockIdx.y % parts, first = (int64)blockIdx.x * SPAN;
    values += member * values_member;
    indices += member * indices_member;
    indptr += member * indptr_member;
    source += member * m;
    target += member * n;
    double sums[SPAN] = {};
    for (int64 i = m * part / parts + threadIdx.x / 32; i < m * (part + 1) / parts; i += THREADS / 32) {
        if (cluster_of(source[i], n_clusters) != from) continue;
        for (int64 p = indptr[i] + threadIdx.x % 32; p < indptr[i + 1]; p += 32) {
            add_to(sums, cluster_of(target[indices[p]], n_clusters) - first, magnitude<double>(values[p]));
        }
    }
    write_sums(sums, out + (member * parts + part) * (n_clusters + 1) * (n_clusters + 1), from, first, n_clusters);
}
