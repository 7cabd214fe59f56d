"""``B^T X`` and ``B B^T X`` for the scaled matrix B of a graph of small dense blocks, scales and sums in the products.

Beside products of a few microseconds each, the arrays in between count: every block reads its rows of X and adds to its
rows of one result. Vectors lie along memory, for so few of them NumPy works on them three times as fast that way.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from netspectra.kernels.cpu.skinny import add_scaled, is_skinny
from netspectra.kernels.scaled_gram import Corner, by_column
from netspectra.kernels.weights import DenseWeights

__all__ = ["DenseCorner", "are_skinny", "scaled_gram"]

Array: TypeAlias = np.ndarray[Any, Any]
DenseCorner: TypeAlias = "tuple[DenseWeights, int, int, bool]"


def are_skinny(blocks: Sequence[Corner], X: Array) -> TypeGuard[Sequence[DenseCorner]]:
    """Whether the kernels take all of these."""
    return all(isinstance(weights, DenseWeights) and is_skinny(weights.member(0), X[0]) for weights, *_ in blocks)


def scaled_gram(blocks: Sequence[DenseCorner], rows: Array, cols: Array, X: Array) -> tuple[Array, Array]:
    """``B^T X`` and ``B B^T X``; see :class:`netspectra.kernels.backend.Backend`."""
    members, _, c = X.shape
    X = np.ascontiguousarray(X.transpose(0, 2, 1))
    Y, GX = np.zeros((members, c, cols.shape[1]), X.dtype), np.zeros(X.shape, X.dtype)
    for b, (x, y, gx, row_scale, col_scale) in enumerate(zip(X, Y, GX, rows, cols, strict=True)):
        for first, last, group in by_column(blocks):
            j = slice(first, last)
            placed = [
                (weights.member(b), slice(row, row + weights.shape[1 if transposed else 0]), transposed)
                for weights, row, _, transposed in group
            ]
            for W, i, transposed in placed:
                add_scaled(W, x[:, i], row_scale[i], y[:, j], col_scale[j], transposed=not transposed)
            for W, i, transposed in placed:
                add_scaled(W, y[:, j], col_scale[j], gx[:, i], row_scale[i], transposed=transposed)
    return Y.transpose(0, 2, 1), GX.transpose(0, 2, 1)
