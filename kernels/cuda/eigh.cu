// All eigenpairs of many small symmetric matrices by Jacobi rotations, one thread block per matrix, all of it in shared
// memory. A kernel, because cuSOLVER's batched Jacobi is made for n <= 32. Twin: numpy.linalg.eigh.
//
// Sources: G. Golub, C. Van Loan, Matrix Computations (4th ed.), 8.5 (parallel cyclic order); H. Rutishauser, Numer.
// Math. 9 (1966) (t and tau). Deviations: elements below eps |A| / n are left alone, which ends the iteration: accurate
// to the norm, as LAPACK is, not to each eigenvalue; the matrix is scaled by a power of 2, so nothing overflows.
//
// A step annihilates n / 2 elements at once. The pairs (p, q) of a step share no row, so its rotations touch each 2 x 2
// block (p_i, q_i) x (p_j, q_j) once, from both sides: one thread reads it, turns it and writes it back. Two barriers a
// step: when the angles are known, when they have been applied. Every element is computed by one formula whatever the
// number of threads.
#include "reduce.cuh"

#define THREADS 256
#define MAX_SWEEPS 40  // 5 to 9 are usual, 20 were seen where rows differ by ten orders of magnitude
#define MAX_WARPS (THREADS / 32)

struct alignas(2 * sizeof(WORK)) Rotation {
    WORK sine, tau;  // tau: tangent of half the angle
};

// Neighbouring numbers, read at once.
#define PACK ((int32)(16 / sizeof(WORK)))
struct alignas(16) Pack {
    WORK value[16 / sizeof(WORK)];
};

// The parts of shared memory, as `shared_bytes` of linalg.py counts them.
struct Problem {
    int32 n, even, half;  // even: n rounded up; half: pairs
    int32 pitch, packs;   // numbers in a row of `below`, packs in a row of `vectors`
    int32 n_below;
    double* parts;        // (2 MAX_WARPS,) for sums over the block
    Pack* vectors;        // (even, packs) one eigenvector a row
    Rotation* rotations;  // (half,)
    WORK* diagonal;       // (even,)
    WORK* below;          // (even - 1, pitch) what is below the diagonal, folded into a rectangle
    int32* order;         // (even,)
};

__device__ __forceinline__ Problem divided(unsigned char* near, int32 n) {
    Problem m;
    m.n = n;
    m.even = n + n % 2;
    m.half = m.even / 2;
    m.pitch = m.half + m.half % 2;  // even: steps of pitch +- 1, as neighbouring threads take, meet no bank twice
    m.packs = (m.even + PACK - 1) / PACK;
    m.n_below = (m.even - 1) * m.pitch;
    m.parts = (double*)near;
    m.vectors = (Pack*)(m.parts + 2 * MAX_WARPS);
    m.rotations = (Rotation*)(m.vectors + m.even * m.packs);
    m.diagonal = (WORK*)(m.rotations + m.half);
    m.below = m.diagonal + m.even;
    m.order = (int32*)(m.below + m.n_below);
    return m;
}

// Where element (a, b) of the symmetric matrix is, a != b. The last columns stand, transposed, where the rectangle of
// the first ones is empty.
__device__ __forceinline__ int32 place(const Problem& m, int32 a, int32 b) {
    const int32 high = a > b ? a : b, low = a > b ? b : a;
    return low < m.half ? (high - 1) * m.pitch + low : (low - m.half) * m.pitch + high - m.half;
}

// Pair i of a step: a round of a tournament in which number even - 1 stays seated.
__device__ __forceinline__ void pair_of(const Problem& m, int32 step, int32 i, int32& p, int32& q) {
    p = step + i;
    q = step - i;
    if (p >= m.even - 1) p -= m.even - 1;
    if (q < 0) q += m.even - 1;
    if (i == 0) p = m.even - 1;
}

__device__ __forceinline__ void turn(const Rotation& r, WORK& x, WORK& y) {
    const WORK old = x;
    x -= r.sine * (y + r.tau * x);
    y += r.sine * (old - r.tau * y);
}

// Chooses the angle of pair i, at most 45 degrees, and applies it to the pair's own block. False: there is none.
__device__ __forceinline__ bool choose(const Problem& m, int32 step, int32 i, WORK tolerance) {
    int32 p, q;
    pair_of(m, step, i, p, q);
    WORK& pivot = m.below[place(m, p, q)];
    const WORK twice = 2 * pivot;
    if (!(magnitude<WORK>(pivot) > tolerance)) {
        m.rotations[i] = Rotation{0, 0};
        return false;
    }
    const WORK distance = m.diagonal[q] - m.diagonal[p];
    const WORK length = magnitude<WORK>(distance) + sqrt(distance * distance + twice * twice);
    const WORK tangent = (distance < 0 ? -twice : twice) / length;
    const WORK root = sqrt(1 + tangent * tangent);
    m.rotations[i] = Rotation{tangent / root, tangent / (1 + root)};
    m.diagonal[p] -= tangent * pivot;
    m.diagonal[q] += tangent * pivot;
    pivot = 0;
    return true;
}

__device__ __forceinline__ void turn_block(const Problem& m, int32 step, int32 i, int32 j) {
    const Rotation left = m.rotations[i], right = m.rotations[j];
    if (left.sine == 0 && right.sine == 0) return;
    int32 p, q, r, s;
    pair_of(m, step, i, p, q);
    pair_of(m, step, j, r, s);
    WORK &pr = m.below[place(m, p, r)], &ps = m.below[place(m, p, s)];
    WORK &qr = m.below[place(m, q, r)], &qs = m.below[place(m, q, s)];
    WORK a = pr, b = ps, c = qr, d = qs;
    turn(left, a, c);
    turn(left, b, d);
    turn(right, a, b);
    turn(right, c, d);
    pr = a, ps = b, qr = c, qs = d;
}

__device__ __forceinline__ void turn_vectors(const Problem& m, int32 step, int32 i, int32 part) {
    const Rotation rotation = m.rotations[i];
    if (rotation.sine == 0) return;
    int32 p, q;
    pair_of(m, step, i, p, q);
    Pack x = m.vectors[p * m.packs + part], y = m.vectors[q * m.packs + part];
#pragma unroll
    for (int32 e = 0; e < PACK; ++e) turn(rotation, x.value[e], y.value[e]);
    m.vectors[p * m.packs + part] = x;
    m.vectors[q * m.packs + part] = y;
}

// Quotients of numbers below 4,161 by d <= 64, see `quotient`.
__device__ __forceinline__ uint32 reciprocal(int32 d) { return ((1u << 18) + d - 1) / d; }
__device__ __forceinline__ int32 quotient(int32 x, uint32 reciprocal) { return (int32)((x * reciprocal) >> 18); }

// Every pair of rows once.
__device__ __forceinline__ void sweep(const Problem& m, WORK tolerance) {
    const int32 n_blocks = m.half * (m.half - 1) / 2, n_packs = m.half * m.packs;
    const uint32 by_half = reciprocal(m.half), by_packs = reciprocal(m.packs);
    for (int32 step = 0; step < m.even - 1; ++step) {
        const bool any = threadIdx.x < m.half && choose(m, step, threadIdx.x, tolerance);
        if (!__syncthreads_or(any)) continue;
        int32 e = threadIdx.x;
        for (; e < n_blocks; e += blockDim.x) {  // pairs i and i + 1 of all i, then i and i + 2, ...
            const int32 before = quotient(e, by_half), i = e - before * m.half, j = i + before + 1;
            turn_block(m, step, i, j < m.half ? j : j - m.half);
        }
        for (e -= n_blocks; e < n_packs; e += blockDim.x) {
            const int32 i = quotient(e, by_packs);
            turn_vectors(m, step, i, e - i * m.packs);
        }
        __syncthreads();
    }
}

// Reads the lower triangle; zeros around it, the identity as vectors. False if a number is not finite.
__device__ __forceinline__ bool load(const Problem& m, const WORK* A, int64 A_row, int64 A_column, double& largest) {
    WORK* vectors = (WORK*)m.vectors;
    for (int32 e = threadIdx.x; e < m.n_below; e += blockDim.x) m.below[e] = 0;
    for (int32 e = threadIdx.x; e < m.even; e += blockDim.x) m.diagonal[e] = 0;
    for (int32 e = threadIdx.x; e < m.even * m.packs * PACK; e += blockDim.x) {
        vectors[e] = e / (m.packs * PACK) == e % (m.packs * PACK) ? 1 : 0;
    }
    __syncthreads();
    bool finite = true;
    largest = 0;
    for (int32 e = threadIdx.x; e < m.n * m.n; e += blockDim.x) {
        const int32 i = e / m.n, j = e % m.n;
        if (j > i) continue;
        const WORK x = A[i * A_row + j * A_column];
        finite &= x - x == 0;
        largest = max(largest, (double)magnitude<WORK>(x));
        (i == j ? m.diagonal[i] : m.below[place(m, i, j)]) = x;
    }
    int32 where = 0;
    block_largest(largest, where, m.parts);
    return __syncthreads_and(finite);
}

// Divides by `unit`, a power of 2; returns the Frobenius norm of what is then there.
__device__ __forceinline__ double scale(const Problem& m, double unit) {
    const double factor = 1 / unit;
    double squares = 0;
    for (int32 e = threadIdx.x; e < m.n_below; e += blockDim.x) {
        const double x = m.below[e] * factor;
        m.below[e] = (WORK)x;
        squares += 2 * x * x;
    }
    for (int32 e = threadIdx.x; e < m.even; e += blockDim.x) {
        const double x = m.diagonal[e] * factor;
        m.diagonal[e] = (WORK)x;
        squares += x * x;
    }
    return sqrt(block_sum(squares, m.parts));
}

// The power of 2 at or below x >= 0, at least the smallest normal number.
__device__ __forceinline__ double power_of_two(double x) {
    const int64 exponent = __double_as_longlong(x) & 0x7FF0000000000000ll;
    return __longlong_as_double(exponent ? exponent : 0x0010000000000000ll);
}

// Grid (members,). A by strides of members, rows and columns; values (members, n), ascending; vectors (members, n, n),
// one a column. A member with a number that is not finite gets NaN.
extern "C" __global__ void __launch_bounds__(THREADS) symmetric_eigenpairs(
    const WORK* __restrict__ A, int64 A_member, int64 A_row, int64 A_column, int64 n, WORK* __restrict__ values,
    WORK* __restrict__ vectors) {
    extern __shared__ unsigned char shared[];
    const int64 member = blockIdx.x;
    const Problem m = divided(shared, (int32)n);
    values += member * n;
    vectors += member * n * n;
    double largest;
    if (!load(m, A + member * A_member, A_row, A_column, largest)) {
        const WORK nan = (WORK)__longlong_as_double(0x7FF8000000000000ll);
        for (int32 e = threadIdx.x; e < m.n * m.n; e += blockDim.x) vectors[e] = nan;
        for (int32 e = threadIdx.x; e < m.n; e += blockDim.x) values[e] = nan;
        return;
    }
    const double unit = power_of_two(largest);
    const double epsilon = sizeof(WORK) == 4 ? 1.1920928955078125e-7 : 2.220446049250313e-16;
    const WORK tolerance = (WORK)(epsilon * scale(m, unit) / m.even);
    for (int32 round = 0; round < MAX_SWEEPS; ++round) {
        bool any = false;
        for (int32 e = threadIdx.x; e < m.n_below; e += blockDim.x) any |= magnitude<WORK>(m.below[e]) > tolerance;
        if (!__syncthreads_or(any)) break;
        sweep(m, tolerance);
    }
    for (int32 i = threadIdx.x; i < m.n; i += blockDim.x) {
        const WORK mine = m.diagonal[i];
        int32 rank = 0;
        for (int32 j = 0; j < m.n; ++j) rank += m.diagonal[j] < mine || (m.diagonal[j] == mine && j < i);
        m.order[rank] = i;
        values[rank] = (WORK)(mine * unit);
    }
    __syncthreads();
    const WORK* found = (const WORK*)m.vectors;
    for (int32 e = threadIdx.x; e < m.n * m.n; e += blockDim.x) {
        vectors[e] = found[m.order[e % m.n] * m.packs * PACK + e / m.n];
    }
}
