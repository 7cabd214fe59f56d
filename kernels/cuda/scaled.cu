// The explicit matrix diag(rows) |W| diag(cols) of small problems, one pass over each block. A kernel, because CuPy would
// make three copies of the block: its absolute values, and one for each scaling. Twin: ReferenceBackend.scaled_dense.
#include "common.cuh"

// The order of the two products matters: tiny degrees must not overflow.
__device__ inline WORK scaled(STORE w, WORK row_scale, WORK col_scale) {
    return magnitude<WORK>(w) * row_scale * col_scale;
}

// out[i, j] += |W[i, j]| rows[i] cols[j], W (members, height, width) and out given by the strides of members, rows and
// columns. Grid (any, any, members), threads along the columns of `out`.
extern "C" __global__ void add_scaled(const STORE* __restrict__ W, int64 W_member, int64 W_row, int64 W_col,
                                      WORK* __restrict__ out, int64 out_member, int64 out_row, int64 height,
                                      int64 width, const WORK* __restrict__ rows, int64 rows_member,
                                      const WORK* __restrict__ cols, int64 cols_member) {
    int64 member = blockIdx.z;
    W += member * W_member;
    out += member * out_member;
    rows += member * rows_member;
    cols += member * cols_member;
    for (int64 i = blockIdx.y; i < height; i += gridDim.y) {
        WORK row_scale = rows[i];
        for (int64 j = first_index(); j < width; j += index_step()) {
            out[i * out_row + j] += scaled(W[i * W_row + j * W_col], row_scale, cols[j]);
        }
    }
}

// The same for CSR, whose places are distinct, so that no two threads meet. Where `transposed`, stored row i and column
// j stand at out[j, i]. Grid (any, members), one warp per stored row.
extern "C" __global__ void add_scaled_csr(const STORE* __restrict__ values, int64 values_member,
                                          const INDEX* __restrict__ indices, int64 indices_member,
                                          const int64* __restrict__ indptr, int64 indptr_member, int64 n_rows,
                                          int64 transposed, WORK* __restrict__ out, int64 out_member, int64 out_row,
                                          const WORK* __restrict__ rows, int64 rows_member,
                                          const WORK* __restrict__ cols, int64 cols_member) {
    int64 member = blockIdx.y;
    values += member * values_member;
    indices += member * indices_member;
    indptr += member * indptr_member;
    out += member * out_member;
    rows += member * rows_member;
    cols += member * cols_member;
    for (int64 i = first_index() / 32; i < n_rows; i += index_step() / 32) {
        for (int64 p = indptr[i] + threadIdx.x % 32; p < indptr[i + 1]; p += 32) {
            int64 row = transposed ? (int64)indices[p] : i, col = transposed ? i : (int64)indices[p];
            out[row * out_row + col] += scaled(values[p], rows[row], cols[col]);
        }
    }
}
