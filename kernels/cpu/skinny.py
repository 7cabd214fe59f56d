"""Products of a small block's ``|W|`` with up to eight vectors, in one pass over W and without a copy.

Kernels, because BLAS wants ``|W|`` written out first, and is at its worst with so few columns: for the five blocks of
784-256x4-10 and four vectors, 37 and 34 microseconds instead of 190 and 200 (one thread, AVX-512). That is what the
tracking of eigenvectors in a training step has to spare. Vectors are taken in fours.
"""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu.jit import compiled

__all__ = ["add_skinny", "is_skinny"]

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
    result = y_source if y_source is not None else y_target
    if result is not None and W.dtype != result.dtype:
        W = W.astype(result.dtype)
    for kernel, x, y in ((_times, x_target, y_source), (_transposed_times, x_source, y_target)):
        if x is None or y is None:
            continue
        width = x.shape[1]
        if width % 4 == 0:
            kernel(W, x, y)
            continue
        whole = width + -width % 4
        padded, sums = np.zeros((x.shape[0], whole), x.dtype), np.zeros((y.shape[0], whole), y.dtype)
        padded[:, :width] = x
        kernel(W, padded, sums)
        np.add(y, sums[:, :width], out=y)


_SIGNATURES = tuple(f"void(const({t}[:, ::1]), const({t}[:, ::1]), {t}[:, ::1])" for t in _TYPES)


@compiled(*_SIGNATURES)
def _times(values, x, y):  # type: ignore[no-untyped-def]
    """``y += |values| x``: four sums along a row, vectors transposed so that LLVM vectorises them."""
    (m, n), c, zero = values.shape, x.shape[1], y.dtype.type(0)
    right = np.empty((c, n), x.dtype)
    for j in range(n):
        for k in range(c):
            right[k, j] = x[j, k]
    for i in range(m):
        w = values[i]
        for k in range(0, c, 4):
            x0, x1, x2, x3 = right[k], right[k + 1], right[k + 2], right[k + 3]
            a0, a1, a2, a3 = zero, zero, zero, zero
            for j in range(n):
                v = abs(w[j])
                a0 += v * x0[j]
                a1 += v * x1[j]
                a2 += v * x2[j]
                a3 += v * x3[j]
            y[i, k] += a0
            y[i, k + 1] += a1
            y[i, k + 2] += a2
            y[i, k + 3] += a3


@compiled(*_SIGNATURES)
def _transposed_times(values, x, y):  # type: ignore[no-untyped-def]
    """``y += |values|^T x``: four rows of sums, two rows of the block at a time."""
    (m, n), c = values.shape, x.shape[1]
    total = np.zeros((c, n), y.dtype)
    for k in range(0, c, 4):
        y0, y1, y2, y3 = total[k], total[k + 1], total[k + 2], total[k + 3]
        for i in range(0, m - 1, 2):
            w, z = values[i], values[i + 1]
            a0, a1, a2, a3 = x[i, k], x[i, k + 1], x[i, k + 2], x[i, k + 3]
            b0, b1, b2, b3 = x[i + 1, k], x[i + 1, k + 1], x[i + 1, k + 2], x[i + 1, k + 3]
            for j in range(n):
                v, u = abs(w[j]), abs(z[j])
                y0[j] += v * a0 + u * b0
                y1[j] += v * a1 + u * b1
                y2[j] += v * a2 + u * b2
                y3[j] += v * a3 + u * b3
        if m % 2:
            w = values[m - 1]
            a0, a1, a2, a3 = x[m - 1, k], x[m - 1, k + 1], x[m - 1, k + 2], x[m - 1, k + 3]
            for j in range(n):
                v = abs(w[j])
                y0[j] += v * a0
                y1[j] += v * a1
                y2[j] += v * a2
                y3[j] += v * a3
    for j in range(n):
        for k in range(c):
            y[j, k] += total[k, j]
