"""The derivative of eigenvalues by every stored weight of a block, in the array-API standard."""

from typing import Any

from netspectra.kernels.backend import Array
from netspectra.kernels.weights import BlockWeights, CsrWeights, stored_rows

__all__ = ["edge_gradient"]


def edge_gradient(xp: Any, weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array) -> Array:
    """``sign(w_ij) (rows_i + cols_j - U_i . V_j)``, see :meth:`netspectra.kernels.backend.Backend.edge_gradient`."""
    signs = xp.sign(xp.astype(weights.values, rows.dtype))
    if not isinstance(weights, CsrWeights):
        return signs * (rows[:, :, None] + cols[:, None, :] - xp.matmul(U, xp.matrix_transpose(V)))
    parts = []
    for b in range(rows.shape[0]):
        values, indices, indptr = weights.member(b)
        count, places = int(values.shape[0]), xp.astype(indices, xp.int64)
        i = stored_rows(xp, indptr, count)
        i = xp.where(i < weights.shape[0], i, xp.zeros_like(i))  # the unused tail of a member, whose weights are zero
        low_rank = xp.sum(xp.take(U[b, ...], i, axis=0) * xp.take(V[b, ...], places, axis=0), axis=1)
        parts.append(xp.take(rows[b, :], i, axis=0) + xp.take(cols[b, :], places, axis=0) - low_rank)
    return signs * xp.stack(parts)
