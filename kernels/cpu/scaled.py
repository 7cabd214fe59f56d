"""The explicit matrix ``diag(rows) |W| diag(cols)`` of small problems, assembled from blocks in one pass over each.

A kernel, because NumPy would make three copies of the block: its absolute values, and one for each scaling.
"""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled
from netspectra.kernels.cpu.panels import contiguous_panels
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["scaled_dense"]

Array: TypeAlias = np.ndarray[Any, Any]
_TYPES = ("float32", "float64")


@compiled(*(f"void(const({t}[:, ::1]), {o}[:, ::1], int64, int64, {o}[::1], {o}[::1])" for t in _TYPES for o in _TYPES))
def _add_scaled(values, out, row, col, row_scale, col_scale):  # type: ignore[no-untyped-def]
    """``out[row + i, col + j] += |values[i, j]| row_scale[row + i] col_scale[col + j]``."""
    scale = col_scale[col : col + values.shape[1]]
    for i in range(values.shape[0]):
        target, source, factor = out[row + i, col : col + values.shape[1]], values[i], row_scale[row + i]
        for j in range(values.shape[1]):
            target[j] += (
                out.dtype.type(abs(source[j])) * factor * scale[j]
            )  # this order: tiny degrees must not overflow


@compiled(*(f"void(const({t}[:, ::1]), {o}[:, ::1], int64, int64, {o}[::1], {o}[::1])" for t in _TYPES for o in _TYPES))
def _add_scaled_transpose(values, out, row, col, row_scale, col_scale):  # type: ignore[no-untyped-def]
    """``out[row + j, col + i] += |values[i, j]| row_scale[row + j] col_scale[col + i]``, in tiles of 32 x 32."""
    for i0 in range(0, values.shape[0], 32):
        for j0 in range(0, values.shape[1], 32):
            for j in range(j0, min(j0 + 32, values.shape[1])):
                target, factor = out[row + j], row_scale[row + j]
                for i in range(i0, min(i0 + 32, values.shape[0])):
                    target[col + i] += out.dtype.type(abs(values[i, j])) * factor * col_scale[col + i]


def scaled_dense(
    shape: tuple[int, int], blocks: "list[tuple[BlockWeights, int, int, bool]]", rows: Array, cols: Array
) -> Array:
    """Dense ``diag(rows) sum(|W|) diag(cols)`` per member; see :class:`netspectra.kernels.backend.Backend`."""
    out = np.zeros((rows.shape[0], *shape), rows.dtype)
    for b in range(out.shape[0]):
        for weights, row, col, transposed in blocks:
            if isinstance(weights, CsrWeights):
                _add_scaled_csr(out[b], weights, b, row, col, rows[b], cols[b], transposed)
                continue
            for first, last, read in contiguous_panels(weights.member(b)):
                panel, swapped = read(slice(first, last))
                add = _add_scaled_transpose if swapped != transposed else _add_scaled
                corner = (row, col + first) if transposed else (row + first, col)
                add(panel, out[b], *corner, rows[b], cols[b])
    return out


def _add_scaled_csr(
    out: Array, weights: CsrWeights, member: int, row: int, col: int, rows: Array, cols: Array, transposed: bool
) -> None:
    stored, indices, indptr = weights.member(member)
    i = np.repeat(np.arange(weights.shape[0]), np.diff(indptr))
    j = indices[: i.size].astype(np.int64)
    if transposed:
        i, j = j, i
    values = np.abs(stored[: i.size]).astype(out.dtype)
    out[row + i, col + j] += values * rows[row + i] * cols[col + j]
