"""``B^T X`` and ``B B^T X`` for the scaled matrix B of a graph's blocks, from products with the blocks themselves."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from netspectra.kernels.backend import Array, Backend
from netspectra.kernels.weights import BlockWeights

__all__ = ["Corner", "by_column", "scaled_gram"]

Corner: TypeAlias = "tuple[BlockWeights, int, int, bool]"
"""A block, the row and column of its corner, and whether it stands there transposed."""
W = TypeVar("W", bound=BlockWeights)


def by_column(blocks: "Sequence[tuple[W, int, int, bool]]") -> "list[tuple[int, int, list[tuple[W, int, int, bool]]]]":
    """(First column, last column, blocks) of all that stand in the same columns."""
    groups = [(col, list(group)) for col, group in groupby(sorted(blocks, key=itemgetter(2)), itemgetter(2))]
    return [(col, col + group[0][0].shape[0 if group[0][3] else 1], group) for col, group in groups]


def scaled_gram(backend: Backend, blocks: Sequence[Corner], rows: Array, cols: Array, X: Array) -> tuple[Array, Array]:
    """See :meth:`netspectra.kernels.backend.Backend.scaled_gram`.

    What stands in the same columns is done at once, so that both products find its weights in the cache.
    """
    scaled, Y, GX = X * rows[:, :, None], dict[int, Array](), dict[int, Array]()
    for first, last, group in by_column(blocks):
        y: Any = None
        for weights, row, _, transposed in group:
            height = weights.shape[1 if transposed else 0]
            y = _plus(y, _times(backend, weights, scaled[:, row : row + height, :], not transposed))
        scale = cols[:, first:last, None]
        Y[first] = backend.all_reduce(y) * scale
        y = Y[first] * scale
        for weights, row, _, transposed in group:
            GX[row] = _plus(GX.get(row), _times(backend, weights, y, transposed))
    together = backend.all_reduce(_joined(backend.xp, GX, int(rows.shape[1]), X))
    return _joined(backend.xp, Y, int(cols.shape[1]), X), together * rows[:, :, None]


def _times(backend: Backend, weights: BlockWeights, x: Array, transposed: bool) -> Array:
    """``|W| x`` or ``|W|^T x``."""
    return backend.block_product(weights, x, None)[1] if transposed else backend.block_product(weights, None, x)[0]


def _plus(total: Any, part: Array) -> Array:
    return part if total is None else total + part


def _joined(xp: Any, parts: dict[int, Array], size: int, like: Array) -> Array:
    """Parts by their first row, one after the other, with zeros where no block is."""
    found, end = [], 0
    for first in [*sorted(parts), size]:
        if first > end:
            found.append(xp.zeros((like.shape[0], first - end, like.shape[2]), dtype=like.dtype))
        if first in parts:
            found.append(parts[first])
            end = first + int(parts[first].shape[1])
    return found[0] if len(found) == 1 else xp.concat(found, axis=1)
