// All restarts of k-means on one member's points, in one thread block from seeding to inertia. A kernel, because
// libraries run one k-means at a time, with a launch and a wait per iteration, and cannot be keyed. The floor for W1 is
// the arithmetic of the assignments, 6.4 ms per 1,000 members on an H100. Twin: kernels/reference/kmeans.py.
#include "kmeans_lloyd.cuh"
#include "kmeans_seeding.cuh"

// Grid (groups of restarts, members).
//
// points (members, d, stride), the live ones first; order (members, n): the node of each; n_live, tol (members,); keys
// (members, 2). labels (members, restarts or groups, n): those of live nodes are written, without keep_all those of the
// group's restart of least inertia, ties to the lowest; inertia, n_iter (members, restarts). far (blocks, far_bytes):
// what does not fit into shared memory.
#define PARAMETERS                                                                                                  \
    const WORK *__restrict__ points, const int32 *__restrict__ order, const int32 *__restrict__ n_live,             \
        const uint32 *__restrict__ keys, const double *__restrict__ tol, int32 *__restrict__ labels,                \
        double *__restrict__ inertia, int32 *__restrict__ n_iter, unsigned char *__restrict__ far, int64 far_bytes, \
        int64 n, int64 stride, int64 d, int64 k, int64 n_init, int64 n_trials, int64 max_iter, int64 keep_all,      \
        int64 n_sums, int64 centres_near

extern __shared__ unsigned char shared[];

template <bool ON_CHIP>
__device__ __forceinline__ void run_restarts(PARAMETERS) {
    const int64 member = blockIdx.y, group = blockIdx.x, groups = gridDim.x;
    const int64 first = n_init * group / groups, end = n_init * (group + 1) / groups;
    Problem p;
    p.n = n_live[member];
    p.d = d;
    p.k = k;
    p.padded = (k + 3) / 4 * 4;
    p.stride = stride;
    place<ON_CHIP>(p, shared, far + (member * groups + group) * far_bytes, points + member * d * stride, n_sums,
                   centres_near);
    double least = infinity();
    for (int64 restart = first; restart < end; ++restart) {
        double total = 0;
        int32 iterations = 0;
        if (p.n > 0) {
            seed_centres(p, restart, n_trials, keys + 2 * member);
            iterations = iterate(p, max_iter, tol[member]);
            for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) total += own_distance(p, i);
            total = block_sum(total, p.exchange->parts);
        }
        if (keep_all || total < least || restart == first) {
            int32* row = labels + (keep_all ? member * n_init + restart : member * groups + group) * n;
            for (int32 i = threadIdx.x; i < p.n; i += blockDim.x) row[order[member * n + i]] = p.labels[i];
            least = total;
        }
        if (threadIdx.x == 0) {
            inertia[member * n_init + restart] = total;
            n_iter[member * n_init + restart] = iterations;
        }
    }
}

#define ARGUMENTS                                                                                             \
    points, order, n_live, keys, tol, labels, inertia, n_iter, far, far_bytes, n, stride, d, k, n_init, n_trials, \
        max_iter, keep_all, n_sums, centres_near

// Two thread blocks of float32 share a multiprocessor, so that one works while the other waits at a barrier.
#define BLOCKS (sizeof(WORK) == 4 ? 2 : 1)

extern "C" __global__ void __launch_bounds__(512, BLOCKS) kmeans_on_chip(PARAMETERS) {
    run_restarts<true>(ARGUMENTS);
}

extern "C" __global__ void __launch_bounds__(512) kmeans_streaming(PARAMETERS) { run_restarts<false>(ARGUMENTS); }
