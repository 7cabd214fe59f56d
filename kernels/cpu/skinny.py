"""Products of a small block's scaled ``|W|`` with up to eight vectors, in one pass over W and without a copy.

Kernels, because BLAS wants ``|W|`` written out first, and is at its worst with so few columns: for the five blocks of
784-256x4-10 and four vectors, 29 and 34 microseconds instead of 190 and 200 (one thread, AVX-512). That is what the
tracking of eigenvectors in a training step has to spare. Vectors are taken in fours.
"""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled

__all__ = ["add_scaled", "add_skinny", "is_skinny"]

Array: TypeAlias = np.ndarray[Any, Any]
WIDEST = 8
LARGEST = 1 << 20
"""Weights up to which a block is worked on by one thread, from its cache."""
_TYPES = ("float32", "float64")
_DTYPES = tuple(np.dtype(t) for t in _TYPES)


def is_skinny(W: Array, x: Array) -> bool:
    """Whether the kernels take these."""
    return 1 <= x.shape[1] <= WIDEST and W.size <= LARGEST and W.flags.c_contiguous and x.dtype in _DTYPES


def add_skinny(
    W: Array, x_source: Array | None, x_target: Array | None, y_source: Array | None, y_target: Array | None
) -> None:
    """``y_source += |W| x_target`` and ``y_target += |W|^T x_source``, where given; W is cast to their dtype."""
    for x, y, transposed in ((x_target, y_source, False), (x_source, y_target, True)):
        if x is not None and y is not None:
            ones = np.ones(max(W.shape), y.dtype)
            add_scaled(W, x.T, ones[: x.shape[0]], y.T, ones[: y.shape[0]], transposed=transposed)


def add_scaled(W: Array, x: Array, x_scale: Array, y: Array, y_scale: Array, *, transposed: bool) -> None:
    """``y^T += diag(y_scale) |W| diag(x_scale) x^T``, or with ``|W|^T``. Vectors are rows; W is cast to their dtype."""
    kernel = _transposed_times if transposed else _times
    kernel(W if W.dtype == y.dtype else W.astype(y.dtype), x, x_scale, y, y_scale)


_SIGNATURES = tuple(
    f"void(const({t}[:, ::1]), const({t}[:, :]), const({t}[::1]), {t}[:, :], const({t}[::1]))" for t in _TYPES
)


@compiled(*_SIGNATURES)
def _times(values, x, x_scale, y, y_scale):  # type: ignore[no-untyped-def]
    """``y_i += y_scale_i |w_i| (x_scale x)``: four sums along each of two rows at a time."""
    (m, n), c, zero = values.shape, x.shape[0], y.dtype.type(0)
    whole = c + -c % 4
    right, total = np.zeros((whole, n), x.dtype), np.empty((m + m % 2, whole), y.dtype)
    for k in range(c):
        for j in range(n):
            right[k, j] = x[k, j] * x_scale[j]
    for i in range(0, m, 2):
        w, z = values[i], values[min(i + 1, m - 1)]  # of an odd number the last stands beside itself, for nothing
        for k in range(0, whole, 4):
            x0, x1, x2, x3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            for j in range(n):
                v, u = abs(w[j]), abs(z[j])
                a0 += v * x0[j]
                a1 += v * x1[j]
                a2 += v * x2[j]
                a3 += v * x3[j]
                b0 += u * x0[j]
                b1 += u * x1[j]
                b2 += u * x2[j]
                b3 += u * x3[j]
            total[i, k], total[i, k + 1], total[i, k + 2], total[i, k + 3] = a0, a1, a2, a3
            total[i + 1, k], total[i + 1, k + 1], total[i + 1, k + 2], total[i + 1, k + 3] = b0, b1, b2, b3
    for k in range(c):
        for i in range(m):
            y[k, i] += y_scale[i] * total[i, k]


@compiled(*_SIGNATURES)
def _transposed_times(values, x, x_scale, y, y_scale):  # type: ignore[no-untyped-def]
    """``y += y_scale (x_scale x) |w|``: four rows of sums, two rows of the block at a time."""
    (m, n), c = values.shape, x.shape[0]
    whole = c + -c % 4
    total, left = np.zeros((whole, n), y.dtype), np.zeros((m + m % 2, whole), x.dtype)
    for i in range(m):
        for k in range(c):
            left[i, k] = x[k, i] * x_scale[i]
    for k in range(0, whole, 4):
        y0, y1, y2, y3 = total[k], total[k + 1], total[k + 2], total[k + 3]
        for i in range(0, m, 2):
            w, z = values[i], values[min(i + 1, m - 1)]  # of an odd number the last stands beside itself, times zero
            a0, a1, a2, a3 = left[i, k], left[i, k + 1], left[i, k + 2], left[i, k + 3]
            b0, b1, b2, b3 = left[i + 1, k], left[i + 1, k + 1], left[i + 1, k + 2], left[i + 1, k + 3]
            for j in range(n):
                v, u = abs(w[j]), abs(z[j])
                y0[j] += v * a0 + u * b0
                y1[j] += v * a1 + u * b1
                y2[j] += v * a2 + u * b2
                y3[j] += v * a3 + u * b3
    for k in range(c):
        for j in range(n):
            y[k, j] += y_scale[j] * total[k, j]
