"""The derivative of eigenvalues by every stored weight of a block, in one pass over the block.

A kernel, because a library would write the product of rank c, the sums of the two vectors, the signs and their product
one after the other: five passes over memory instead of one, which is most of what a gradient costs. Columns of U and V
are taken four at a time, so that LLVM vectorises along a row.
"""

from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled
from netspectra.kernels.cpu.panels import contiguous_panels, is_plain
from netspectra.kernels.cpu.workers import run_tasks
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["edge_gradient"]

Array: TypeAlias = np.ndarray[Any, Any]
GROUP_ELEMENTS = 1 << 22
"""Weights that one thread takes at a time; smaller blocks are not worth a thread."""
_TYPES = ("float32", "float64")
_PLAIN = tuple(np.dtype(t) for t in _TYPES)


@compiled(
    *(
        f"void(const({t}[:, ::1]), const({o}[:]), const({o}[:]), const({o}[:, :]), const({o}[:, :]), {o}[:, ::1])"
        for t in _TYPES
        for o in _TYPES
    )
)
def _dense_gradient(values, rows, cols, U, V, out):  # type: ignore[no-untyped-def]
    """``out = sign(values) (rows + cols - U V^T)``, in steps of four columns of U and V, the last ones zero."""
    (m, n), c, zero = values.shape, U.shape[1], out.dtype.type(0)
    last = max(0, (c - 1) // 4 * 4)
    base, left, right = np.empty(n, out.dtype), np.zeros((m, last + 4), out.dtype), np.zeros((last + 4, n), out.dtype)
    for j in range(n):
        base[j] = cols[j]
        for k in range(c):
            right[k, j] = V[j, k]
    for i in range(m):
        for k in range(c):
            left[i, k] = U[i, k]
    for i in range(m):
        w, y, own = values[i], out[i], rows[i]
        for k in range(0, last, 4):
            u0, u1, u2, u3 = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
            v0, v1, v2, v3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            for j in range(n):
                before = zero if k == 0 else y[j]
                y[j] = before + (u0 * v0[j] + u1 * v1[j] + u2 * v2[j] + u3 * v3[j])
        u0, u1, u2, u3 = left[i, last], left[i, last + 1], left[i, last + 2], left[i, last + 3]
        v0, v1, v2, v3 = right[last], right[last + 1], right[last + 2], right[last + 3]
        if last > 0:
            for j in range(n):
                rate = own + base[j] - y[j] - (u0 * v0[j] + u1 * v1[j] + u2 * v2[j] + u3 * v3[j])
                y[j] = rate if w[j] > 0 else (-rate if w[j] < 0 else zero)
        else:
            for j in range(n):
                rate = own + base[j] - (u0 * v0[j] + u1 * v1[j] + u2 * v2[j] + u3 * v3[j])
                y[j] = rate if w[j] > 0 else (-rate if w[j] < 0 else zero)


@compiled(
    *(
        f"void(const({t}[::1]), const({i}[::1]), const(int64[::1]), const({o}[::1]), const({o}[::1]), "
        f"const({o}[:, ::1]), const({o}[:, ::1]), {o}[::1])"
        for t in _TYPES
        for i in ("int32", "int64")
        for o in _TYPES
    )
)
def _csr_gradient(values, indices, indptr, rows, cols, U, V, out):  # type: ignore[no-untyped-def]
    """The same over CSR, whose `out` starts as zeros."""
    for i in range(rows.shape[0]):
        for p in range(indptr[i], indptr[i + 1]):
            if values[p] != 0:
                j = indices[p]
                rate = rows[i] + cols[j]
                for k in range(U.shape[1]):
                    rate -= U[i, k] * V[j, k]
                out[p] = rate if values[p] > 0 else -rate


def edge_gradient(weights: BlockWeights, rows: Array, cols: Array, U: Array, V: Array, n_threads: int) -> Array:
    """``sign(w_ij) (rows_i + cols_j - U_i . V_j)`` per member; see :class:`netspectra.kernels.backend.Backend`."""
    of_member = _csr_member if isinstance(weights, CsrWeights) else _dense_member
    parts = [
        of_member(weights.member(b), rows[b], cols[b], U[b], V[b], n_threads)  # type: ignore[arg-type]
        for b in range(rows.shape[0])
    ]
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _dense_member(W: Array, rows: Array, cols: Array, U: Array, V: Array, n_threads: int) -> Array:
    if W.flags.f_contiguous and not W.flags.c_contiguous:  # along memory: the transpose, ends exchanged
        return _dense_member(W.T, cols, rows, V, U, n_threads).T
    out = np.empty(W.shape, rows.dtype)
    if W.size <= GROUP_ELEMENTS and is_plain(W):
        _dense_gradient(W, rows, cols, U, V, out)
        return out

    def run(bounds: tuple[int, int]) -> None:
        first, last = bounds
        for start, stop, read in contiguous_panels(W[first:last]):
            panel, _ = read(slice(start, stop))
            here = slice(first + start, first + stop)
            _dense_gradient(np.ascontiguousarray(panel), rows[here], cols, U[here], V, out[here])

    n_groups = max(1, min(W.shape[0], W.size // GROUP_ELEMENTS))
    ends = [W.shape[0] * g // n_groups for g in range(n_groups + 1)]
    run_tasks(run, list(pairwise(ends)), n_threads)
    return out


def _csr_member(
    member: tuple[Array, Array, Array], rows: Array, cols: Array, U: Array, V: Array, n_threads: int
) -> Array:
    del n_threads
    values, indices, indptr = member
    out = np.zeros(values.shape[0], rows.dtype)
    work = values if values.dtype in _PLAIN else values.astype(np.float32)
    _csr_gradient(*(np.ascontiguousarray(a) for a in (work, indices, indptr, rows, cols, U, V)), out)
    return out
