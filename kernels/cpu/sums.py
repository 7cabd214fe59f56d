"""Sums over a block in float64: degrees, and weight between clusters, each in one pass over ``|W|``.

Kernels, because NumPy would need a float64 copy of the block (degrees) or k passes over it (clusters).
"""

import numpy as np

from netspectra.kernels.cpu.jit import compiled, helper

__all__ = ["add_cluster_sums_csr", "add_cluster_sums_dense", "add_degrees_csr", "add_degrees_dense"]


@compiled(*(f"void(const({t}[:, ::1]), float64[::1], float64[::1])" for t in ("float32", "float64")))
def add_degrees_dense(values, rows, cols):
    """``rows += |values| @ 1`` and ``cols += 1 @ |values|``."""
    for i in range(values.shape[0]):
        row, total = values[i], 0.0
        for j in range(values.shape[1]):
            w = np.float64(abs(row[j]))
            total += w
            cols[j] += w
        rows[i] += total


@compiled(
    *(
        f"void(const({t}[::1]), const({i}[::1]), const(int64[::1]), float64[::1], float64[::1])"
        for t in ("float32", "float64")
        for i in ("int32", "int64")
    )
)
def add_degrees_csr(values, indices, indptr, rows, cols):
    """Row and column sums of ``|CSR|``, added to `rows` and `cols`."""
    for i in range(rows.shape[0]):
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            w = np.float64(abs(values[p]))
            total += w
            cols[indices[p]] += w
        rows[i] += total


PANEL = 1024
"""Columns at a time: what the rows of a cluster add up to stays in the cache next to the processor."""


@helper
def _add_row(row, total):
    """``total += |row|``, each number by itself: one vector instruction takes eight."""
    for j in range(total.shape[0]):
        total[j] += np.float64(abs(row[j]))


@compiled(*(f"void(const({t}[:, ::1]), int32[::1], int32[::1], float64[:, ::1])" for t in ("float32", "float64")))
def add_cluster_sums_dense(values, source, target, sums):
    """``sums[source[i], target[j]] += |values[i, j]|``; `sums` is (k + 1, k + 1), label -1 its last row or column.

    Rows of one cluster are added up first: adding weight by weight to one of k numbers waits for each sum before the
    next (1.2 ns a weight on W1, this way 0.1).
    """
    n_rows, n_cols = values.shape
    if n_rows < sums.shape[0]:
        for i in range(n_rows):
            row = sums[source[i]]
            for j in range(n_cols):
                row[target[j]] += np.float64(abs(values[i, j]))
        return
    totals = np.empty((sums.shape[0], PANEL))
    for start in range(0, n_cols, PANEL):
        width = min(PANEL, n_cols - start)
        totals[:, :width] = 0.0
        for i in range(n_rows):
            _add_row(values[i, start : start + width], totals[source[i], :width])
        for a in range(sums.shape[0]):
            for j in range(width):
                sums[a, target[start + j]] += totals[a, j]


@compiled(
    *(
        f"void(const({t}[::1]), const({i}[::1]), const(int64[::1]), int32[::1], int32[::1], float64[:, ::1])"
        for t in ("float32", "float64")
        for i in ("int32", "int64")
    )
)
def add_cluster_sums_csr(values, indices, indptr, source, target, sums):
    """The same over CSR."""
    for i in range(source.shape[0]):
        row = sums[source[i]]
        for p in range(indptr[i], indptr[i + 1]):
            row[target[indices[p]]] += np.float64(abs(values[p]))
