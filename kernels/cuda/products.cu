// The symmetric block product: y_source = |W| x_target and y_target = |W|^T x_source in one pass over W. A kernel,
// because a GEMM library reads W twice and wants |W| in memory, in the dtype of x. Twin: ReferenceBackend.block_product.
//
// WIDTH is the number of vectors that a pass has room for. A thread block owns a panel of W. It takes the panel tile by
// tile, |w| widened in registers on the way to shared memory, and multiplies each tile from both sides: sums over rows
// stay in registers while a column of tiles goes by, sums over columns in shared memory. Panels write partial results,
// which are added in a fixed order afterwards.
#include "common.cuh"

#define TILE 64
#define THREADS 256
#define PITCH (TILE + 1)
#define OWN (WIDTH / (THREADS / TILE))

// A thread's share of one row of vectors, read from shared memory in words of up to 16 bytes: as many as its place is
// always aligned to.
#define WORD ((OWN & -OWN) * sizeof(WORK))
struct alignas(WORD < 16 ? WORD : 16) Share {
    WORK x[OWN];
};
static_assert(sizeof(Share) == OWN * sizeof(WORK), "shares must lie side by side");

// |W| of one tile, zero beyond the panel; neighbouring threads read neighbouring columns.
__device__ inline void load_tile(WORK* tile, const STORE* W, int64 W_row, int64 row, int64 row_end, int64 col,
                                 int64 col_end) {
    int j = threadIdx.x % TILE;
#pragma unroll
    for (int i = threadIdx.x / TILE; i < TILE; i += THREADS / TILE) {
        bool inside = row + i < row_end && col + j < col_end;
        tile[i * PITCH + j] = inside ? magnitude<WORK>(W[(row + i) * W_row + col + j]) : WORK(0);
    }
}

// Rows first .. first + TILE - 1 of x, WIDTH columns of which the first c are real.
__device__ inline void load_vectors(WORK* into, const WORK* x, int64 x_row, int64 first, int64 end, int64 c) {
    for (int t = threadIdx.x; t < TILE * WIDTH; t += THREADS) {
        int64 i = first + t / WIDTH, column = t % WIDTH;
        into[t] = i < end && column < c ? x[i * x_row + column] : WORK(0);
    }
}

// Each thread owns one row (or column) of the tile, and a quarter of the vectors.
__device__ void multiply_panel(const STORE* W, int64 W_row, const WORK* xs, int64 xs_row, const WORK* xt, int64 xt_row,
                               WORK* ys, WORK* yt, int64 c, int64 row_begin, int64 row_end, int64 col_begin,
                               int64 col_end, WORK* tile, WORK* source_part, WORK* target_part, WORK* row_sums) {
    const int lane = threadIdx.x % TILE, first = threadIdx.x / TILE * OWN;
    const int64 height = row_end - row_begin;
    for (int64 t = threadIdx.x; t < height * WIDTH; t += THREADS) row_sums[t] = WORK(0);
    for (int64 col = col_begin; col < col_end; col += TILE) {
        WORK below[OWN];
#pragma unroll
        for (int q = 0; q < OWN; ++q) below[q] = WORK(0);
        __syncthreads();
        if (xt) load_vectors(target_part, xt, xt_row, col, col_end, c);
        for (int64 row = row_begin; row < row_end; row += TILE) {
            __syncthreads();
            load_tile(tile, W, W_row, row, row_end, col, col_end);
            if (xs) load_vectors(source_part, xs, xs_row, row, row_end, c);
            __syncthreads();
            if (xt && row + lane < row_end) {
                WORK beside[OWN];
                WORK* sums = row_sums + (row - row_begin + lane) * WIDTH + first;
#pragma unroll
                for (int q = 0; q < OWN; ++q) beside[q] = sums[q];
#pragma unroll 8
                for (int j = 0; j < TILE; ++j) {
                    WORK w = tile[lane * PITCH + j];
                    Share share = *(const Share*)(target_part + j * WIDTH + first);
#pragma unroll
                    for (int q = 0; q < OWN; ++q) beside[q] += w * share.x[q];
                }
#pragma unroll
                for (int q = 0; q < OWN; ++q) sums[q] = beside[q];
            }
            if (xs) {
#pragma unroll 8
                for (int i = 0; i < TILE; ++i) {
                    WORK w = tile[i * PITCH + lane];
                    Share share = *(const Share*)(source_part + i * WIDTH + first);
#pragma unroll
                    for (int q = 0; q < OWN; ++q) below[q] += w * share.x[q];
                }
            }
        }
        if (xs && col + lane < col_end) {
            for (int q = 0; q < OWN; ++q) {
                if (first + q < c) yt[(col + lane) * c + first + q] = below[q];
            }
        }
    }
    __syncthreads();
    if (xt) {
        for (int64 t = threadIdx.x; t < height * WIDTH; t += THREADS) {
            int64 i = t / WIDTH, column = t % WIDTH;
            if (column < c) ys[(row_begin + i) * c + column] = row_sums[t];
        }
    }
}

// Grid (panels, row by row of them, 1, members). W, x_source and x_target by strides, unit stride along columns;
// y_source (column panels, members, m, c), y_target (row panels, members, n, c), c <= WIDTH.
// Shared: (TILE * PITCH + 2 * TILE * WIDTH + panel_rows * WIDTH) words.
extern "C" __global__ void __launch_bounds__(THREADS)
    block_product(const STORE* __restrict__ W, int64 W_member, int64 W_row, int64 m, int64 n,
                  const WORK* __restrict__ x_source, int64 xs_member, int64 xs_row, int64 has_source,
                  const WORK* __restrict__ x_target, int64 xt_member, int64 xt_row, int64 has_target,
                  WORK* __restrict__ y_source, WORK* __restrict__ y_target, int64 c, int64 panel_rows,
                  int64 panel_cols, int64 panels_across) {
    extern __shared__ unsigned char shared[];
    WORK* tile = (WORK*)shared;
    WORK* source_part = tile + TILE * PITCH;
    WORK* target_part = source_part + TILE * WIDTH;
    WORK* row_sums = target_part + TILE * WIDTH;
    int64 member = blockIdx.z, members = gridDim.z;
    int64 down = blockIdx.x / panels_across, across = blockIdx.x % panels_across;
    int64 row = down * panel_rows, col = across * panel_cols;
    multiply_panel(W + member * W_member, W_row, has_source ? x_source + member * xs_member : nullptr, xs_row,
                          has_target ? x_target + member * xt_member : nullptr, xt_row,
                          y_source + (across * members + member) * m * c,
                          y_target + (down * members + member) * n * c, c, row,
                          smaller(row + panel_rows, m), col, smaller(col + panel_cols, n), tile, source_part,
                          target_part, row_sums);
}
