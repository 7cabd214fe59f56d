"""Blocks in the array-API standard: a scatter without scatter, CSR made dense, CSR made from places."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from netspectra.kernels.backend import Array
from netspectra.kernels.triangle import strict_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["dense", "nonzero_ranks", "scatter", "sorted_csr", "stacked_csr"]


def scatter(xp: Any, values: Array, places: Array, size: int) -> Array:
    """``out[places[j]] = values[j]`` into zeros of length `size`, for distinct places.

    The standard can read through an array of indices but not write, so every slot looks up who lands on it.
    """
    if places.shape[0] == 0:
        return xp.zeros((size,), dtype=values.dtype)
    order = xp.argsort(places)
    landed = xp.take(places, order, axis=0)
    slots = xp.arange(size, dtype=xp.int64)
    found = xp.searchsorted(landed, slots)
    found = xp.where(found < places.shape[0], found, xp.zeros_like(found))
    taken = xp.take(landed, found, axis=0) == slots
    arrived = xp.take(values, xp.take(order, found, axis=0), axis=0)
    return xp.where(taken, arrived, xp.zeros_like(arrived))


def dense(xp: Any, weights: BlockWeights) -> Array:
    """Signed weights of a block as an array (B, m, n)."""
    if not isinstance(weights, CsrWeights):
        return weights.values
    m, n = weights.shape
    members = []
    for b in range(weights.n_members):
        pattern = b if weights.indices.shape[0] > 1 else 0
        indptr = weights.indptr[pattern, :]
        stored = int(indptr[m])
        rows = xp.searchsorted(indptr[1:], xp.arange(stored, dtype=xp.int64), side="right")
        places = xp.astype(rows, xp.int64) * n + xp.astype(weights.indices[pattern, :stored], xp.int64)
        members.append(xp.reshape(scatter(xp, weights.values[b, :stored], places, m * n), (m, n)))
    return xp.stack(members)


def stacked_csr(members: "Sequence[Any]", *, symmetric: bool) -> "tuple[np.ndarray[Any, Any], ...]":
    """Values, columns and row pointers of CSR arrays on the host, padded to the longest."""
    kept = strict_upper(members, symmetric=symmetric)
    longest, index_type = max(W.nnz for W in kept), np.result_type(*(W.indices.dtype for W in kept))
    values = np.stack([np.pad(W.data, (0, longest - W.nnz)) for W in kept])
    indices = np.stack([np.pad(W.indices, (0, longest - W.nnz)) for W in kept]).astype(index_type)
    return values, indices, np.stack([W.indptr.astype(np.int64) for W in kept])


def sorted_csr(
    xp: Any, values: Array, places: Array, shape: tuple[int, int], *, symmetric: bool
) -> tuple[Array, Array, Array]:
    """Values, columns and row pointers of canonical CSR, for values that stand at distinct row-major places.

    The places of a symmetric block count its strict upper triangle alone.
    """
    m, n = shape
    order = xp.argsort(places)
    places = xp.take(places, order, axis=0)
    row = xp.arange(m, dtype=xp.int64)
    starts = row * (2 * m - row - 1) // 2 if symmetric else row * n
    rows = xp.astype(xp.searchsorted(starts, places, side="right"), xp.int64) - 1
    cols = places - xp.take(starts, rows, axis=0) + (rows + 1 if symmetric else 0)
    indptr = xp.searchsorted(rows, xp.arange(m + 1, dtype=xp.int64))
    index_type = xp.int32 if n <= 2**31 - 1 else xp.int64
    return xp.take(values, order, axis=0), xp.astype(cols, index_type), xp.astype(indptr, xp.int64)


def nonzero_ranks(xp: Any, values: Array) -> tuple[Array, Array]:
    """Which entries of a vector are non-zero, and how many are before each (0 or more, whatever the entry)."""
    mask = values != 0
    counted = xp.astype(mask, xp.int64)
    return mask, xp.cumulative_sum(counted) - counted
