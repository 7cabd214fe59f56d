"""The matrix-free normalized operator ``S = D^-1/2 A D^-1/2``, and its bipartite reduction ``G = B B^T``.

``L = I - S``, so the smallest eigenvalues of L are one minus the largest of S. If the graph of layers is 2-colourable,
``S = [[0, B], [B^T, 0]]`` with the smaller side first, the largest eigenvalues of S are the largest singular values of
B, and their eigenvectors ``(u; B^T u / sigma) / sqrt(2)``: the problem shrinks to the smaller side. Both operators fold
``D^-1/2`` into the vectors, and both are symmetric with their trivial eigenpair known exactly.
"""

from functools import cached_property
from typing import Any, Protocol

import numpy as np

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.kernels.weights import BlockWeights, stored_bytes

__all__ = ["BipartiteGram", "NormalizedAdjacency", "SymmetricOperator"]


class SymmetricOperator(Protocol):
    """A batch of symmetric operators whose largest eigenpairs are wanted."""

    batch: GraphBatch
    size: int

    def apply(self, X: Array) -> Array:
        """Return the product with vectors (B, size, c)."""
        ...

    def dense(self, dtype: Any) -> Array:
        """Return the matrix (B, size, size), its trivial eigenpair moved out of the way."""
        ...

    def trivial(self, dtype: Any) -> Array:
        """Return the trivial eigenvector, (B, size, 1)."""
        ...

    def mask(self, dtype: Any) -> Array:
        """One for live nodes, zero for isolated ones, (B, size, 1)."""
        ...


class NormalizedAdjacency:
    """``S`` of every member of a batch, on all n nodes."""

    def __init__(self, batch: GraphBatch) -> None:
        self.batch = batch
        self.size = batch.structure.n_nodes

    def apply(self, X: Array) -> Array:
        """``S X`` for X (B, n, c), in the dtype of X."""
        xp, structure = self.batch.backend.xp, self.batch.structure
        scale = self.batch.inverse_sqrt_degrees(X.dtype)[:, :, None]
        Y = X * scale
        parts: list[Any] = [None] * len(structure.sizes)
        for (source, target), block in zip(structure.ends, self.batch.weights, strict=True):
            y_source, y_target = self.batch.backend.block_product(
                block, Y[:, structure.layer_slice(source), :], Y[:, structure.layer_slice(target), :]
            )
            _accumulate(parts, source, y_source)
            _accumulate(parts, target, y_target)
        return self.batch.backend.all_reduce(_joined(xp, parts, structure.sizes, Y)) * scale

    def dense(self, dtype: Any) -> Array:
        """``S`` with the trivial eigenvalue moved to -3 and isolated nodes to places in [-4, -3): below all wanted.

        Each to a place of its own, because LAPACK's ``syevr`` may lose eigenvalues where a subset ends in a cluster.
        """
        xp, structure = self.batch.backend.xp, self.batch.structure
        scale = self.batch.inverse_sqrt_degrees(dtype)
        corners: list[tuple[BlockWeights, int, int, bool]] = []
        for (source, target), block in zip(structure.ends, self.batch.weights, strict=True):
            row, col = structure.offsets[source], structure.offsets[target]
            corners += [(block, row, col, False), (block, col, row, True)]
        S = self.batch.backend.scaled_dense((self.size, self.size), corners, scale, scale)
        trivial = self.trivial(dtype)
        places = 3 + (xp.arange(self.size, dtype=dtype) + 1) / self.size
        dead = (xp.astype(~self.batch.live, dtype) * places)[:, :, None] * xp.eye(self.size, dtype=dtype)
        return S - xp.matmul(4 * trivial, xp.matrix_transpose(trivial)) - dead

    def trivial(self, dtype: Any) -> Array:
        """``sqrt(d / vol)``, (B, n, 1)."""
        return self.batch.trivial_vector(dtype)[:, :, None]

    def mask(self, dtype: Any) -> Array:
        """One for live nodes, zero for isolated ones, (B, n, 1)."""
        return self.batch.backend.xp.astype(self.batch.live, dtype)[:, :, None]


class BipartiteGram:
    """``G = B B^T`` of every member of a batch of bipartite graphs, on the nodes of the smaller side."""

    def __init__(self, batch: GraphBatch) -> None:
        sides = batch.structure.sides
        if sides is None:
            msg = "the graph of layers is not bipartite"
            raise ValueError(msg)
        self.batch = batch
        self.small, self.large = sides
        self.size = sum(batch.structure.sizes[i] for i in self.small)

    def apply(self, X: Array) -> Array:
        """``B (B^T X)`` for X (B, size, c).

        Layers of the larger side whose weights stay in the cache are done one after the other, so that both products
        read them from memory once.
        """
        if not any(self._in_cache(layer) for layer in self.large):
            return self.to_small(self.to_large(X))
        total: Any = 0.0
        for layer in self.large:
            total = total + self._cross(self._cross(X, self.small, (layer,)), (layer,), self.small)
        return total

    def _in_cache(self, layer: int) -> bool:
        """Whether the weights between a layer and its neighbours stay in the cache between two products."""
        blocks = zip(self.batch.structure.ends, self.batch.weights, strict=True)
        n_bytes = sum(stored_bytes(block) for ends, block in blocks if layer in ends)
        return self.batch.backend.stays_in_cache(n_bytes)

    def to_large(self, X: Array) -> Array:
        """``B^T X``, from the smaller to the larger side."""
        return self._cross(X, self.small, self.large)

    def to_small(self, X: Array) -> Array:
        """``B X``, from the larger to the smaller side."""
        return self._cross(X, self.large, self.small)

    def _cross(self, X: Array, here: tuple[int, ...], there: tuple[int, ...]) -> Array:
        backend, structure = self.batch.backend, self.batch.structure
        Y = X * self._scale(here, X.dtype)[:, :, None]
        start = self._starts(here)
        parts: dict[int, Any] = dict.fromkeys(there)
        for (source, target), block in zip(structure.ends, self.batch.weights, strict=True):
            near, far = (source, target) if source in start else (target, source)
            if near not in start or far not in parts:
                continue
            x = Y[:, start[near] : start[near] + structure.sizes[near], :]
            if near == source:
                _, y = backend.block_product(block, x, None)
            else:
                y, _ = backend.block_product(block, None, x)
            parts[far] = y if parts[far] is None else parts[far] + y
        joined = _joined(backend.xp, list(parts.values()), tuple(structure.sizes[i] for i in there), Y)
        return backend.all_reduce(joined) * self._scale(there, X.dtype)[:, :, None]

    def dense(self, dtype: Any) -> Array:
        """``G`` with the trivial eigenvalue 1 moved to -1 (at 0 it would mix with the small ones that are wanted)."""
        return self.batch.backend.explicit_gram(*self._placed(dtype), self.trivial(dtype))

    def dense_block(self, dtype: Any) -> Array:
        """``B``, (B, n_small, n_large)."""
        shape = (self.size, self.batch.structure.n_nodes - self.size)
        return self.batch.backend.scaled_dense(shape, *self._placed(dtype))

    def _placed(self, dtype: Any) -> tuple[list[tuple[BlockWeights, int, int, bool]], Array, Array]:
        """The blocks with their places in B, and what its rows and columns are scaled by."""
        structure, corners = self.batch.structure, []
        rows, cols = self._starts(self.small), self._starts(self.large)
        for (source, target), block in zip(structure.ends, self.batch.weights, strict=True):
            if source in rows:
                corners.append((block, rows[source], cols[target], False))
            else:
                corners.append((block, rows[target], cols[source], True))
        return corners, self._scale(self.small, dtype), self._scale(self.large, dtype)

    def trivial(self, dtype: Any) -> Array:
        """``sqrt(2 d / vol)`` on the smaller side, (B, size, 1): its singular value is 1."""
        return (
            self.batch.backend.xp.take(self.batch.trivial_vector(dtype), self.small_nodes, axis=1)[:, :, None] * 2**0.5
        )

    def mask(self, dtype: Any) -> Array:
        """One for live nodes of the smaller side, zero for isolated ones, (B, size, 1)."""
        xp = self.batch.backend.xp
        return xp.take(xp.astype(self.batch.live, dtype), self.small_nodes, axis=1)[:, :, None]

    def assemble(self, small: Array, large: Array) -> Array:
        """Vectors (B, n, c) in node order from their parts on the two sides."""
        xp = self.batch.backend.xp
        return xp.take(xp.concat([small, large], axis=1), self._node_order, axis=1)

    @cached_property
    def small_nodes(self) -> Array:
        """Nodes of the smaller side, in the order of the reduced problem."""
        return self.batch.backend.asarray(self.nodes(self.small))

    @cached_property
    def _node_order(self) -> Array:
        return self.batch.backend.asarray(np.argsort(np.concatenate([self.nodes(self.small), self.nodes(self.large)])))

    def nodes(self, side: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Nodes of the layers of a side, in the order of the reduced problem."""
        offsets = self.batch.structure.offsets
        return np.concatenate([np.arange(offsets[i], offsets[i + 1], dtype=np.int64) for i in side])

    def _starts(self, side: tuple[int, ...]) -> dict[int, int]:
        starts = np.cumsum([0, *(self.batch.structure.sizes[i] for i in side)]).tolist()
        return dict(zip(side, starts, strict=False))

    def _scale(self, side: tuple[int, ...], dtype: Any) -> Array:
        xp, structure = self.batch.backend.xp, self.batch.structure
        scale = self.batch.inverse_sqrt_degrees(dtype)
        return xp.concat([scale[:, structure.layer_slice(i)] for i in side], axis=1)


def _accumulate(parts: list[Any], layer: int, y: Array) -> None:
    parts[layer] = y if parts[layer] is None else parts[layer] + y


def _joined(xp: Any, parts: list[Any], sizes: tuple[int, ...], like: Array) -> Array:
    """Concatenate per-layer results; a layer that no block touches contributes zeros."""
    filled = [
        xp.zeros((like.shape[0], size, like.shape[2]), dtype=like.dtype) if part is None else part
        for part, size in zip(parts, sizes, strict=True)
    ]
    return xp.concat(filled, axis=1)
