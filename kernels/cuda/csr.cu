// CSR blocks: the product with |W|, and the row of every stored value. Kernels, because cuSPARSE has neither |w| nor a
// batch of different patterns, and its transposed product adds in no fixed order. Twin: ReferenceBackend.block_product.
#include "common.cuh"

// y = |CSR| x per member, one thread per row and vector, so that the vectors of a row are read side by side.
// Grid (any, members); x by strides, unit stride along vectors; y (members, n_rows, c); `lanes` divides the block.
extern "C" __global__ void csr_product(const STORE* __restrict__ values, int64 values_member,
                                       const INDEX* __restrict__ indices, int64 indices_member,
                                       const int64* __restrict__ indptr, int64 indptr_member, int64 n_rows,
                                       const WORK* __restrict__ x, int64 x_member, int64 x_row, WORK* __restrict__ y,
                                       int64 c, int64 lanes) {
    int64 member = blockIdx.y, rows = blockDim.x / lanes;
    values += member * values_member;
    indices += member * indices_member;
    indptr += member * indptr_member;
    x += member * x_member;
    y += member * n_rows * c;
    for (int64 i = blockIdx.x * rows + threadIdx.x / lanes; i < n_rows; i += gridDim.x * rows) {
        for (int64 column = threadIdx.x % lanes; column < c; column += lanes) {
            WORK total = WORK(0);
            for (int64 p = indptr[i]; p < indptr[i + 1]; ++p) {
                total += magnitude<WORK>(values[p]) * x[(int64)indices[p] * x_row + column];
            }
            y[i * c + column] = total;
        }
    }
}

// rows[p] = the row of stored value p, n_rows for what no row uses. Grid (any, members), one warp per row.
extern "C" __global__ void csr_rows(const int64* __restrict__ indptr, int64 n_rows, int64 n_stored,
                                    INDEX* __restrict__ rows) {
    indptr += blockIdx.y * (n_rows + 1);
    rows += blockIdx.y * n_stored;
    for (int64 i = first_index() / 32; i <= n_rows; i += index_step() / 32) {
        int64 end = i < n_rows ? indptr[i + 1] : n_stored;
        for (int64 p = indptr[i] + threadIdx.x % 32; p < end; p += 32) rows[p] = (INDEX)i;
    }
}
