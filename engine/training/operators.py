"""The operators that tracking multiplies with: those of :mod:`netspectra.spectrum.operator`, for blocks of few vectors.

In a step of training one product stands beside the forward and backward pass of a network, and what is prepared for it
counts. So scales are cut by layer once, both images of a vector come out of one call, and the layers of the larger side
are done one after the other, so that the weights are read from memory once.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from netspectra.graph.batch import GraphBatch, Structure
from netspectra.kernels.backend import Array

__all__ = ["FullOperator", "ReducedOperator", "TrackedOperator", "at_least"]

SIGMA_FLOOR = {"float32": 1e-3, "float64": 1e-7}
"""Singular values below this are lost in the rounding of their squares, and count as zero: an eigenvalue 1."""


class TrackedOperator(Protocol):
    """A batch of symmetric operators A whose largest eigenpairs, beside the trivial one, are tracked.

    Attributes
    ----------
    trivial : array, shape (B, size, 1)
        Unit vector of the trivial eigenpair.
    mask : array, shape (B, size, 1)
        One for live nodes, zero for isolated ones.
    """

    trivial: Array
    mask: Array

    def images(self, X: Array) -> tuple[Array, Array]:
        """What :meth:`unit_vectors` wants beside X, and ``A X``, for X (B, size, c)."""
        ...

    def powered(self, X: Array, AX: Array, theta: Array) -> Array:
        """One step of subspace iteration from Ritz vectors, out of what is there; columns of about unit length."""
        ...

    def tolerance(self, theta: Array, tol: float) -> Array:
        """Residual of A that gives L a residual of `tol`."""
        ...

    def unit_vectors(self, X: Array, Y: Array, theta: Array) -> tuple[Array, Array]:
        """Unit eigenvectors of L (B, n, c) in node order, and eigenvalues of S (B, c)."""
        ...


def at_least(xp: Any, values: Array, low: float) -> Array:
    """``max(values, low)``: the namespace's own clip takes longer than the small algebra around it."""
    return xp.maximum(values, xp.full_like(values, low))


class _Passage(NamedTuple):
    """One block on the way to a layer: its number, whether transposed, the layer it comes from."""

    number: int
    transposed: bool
    near: int


@lru_cache(maxsize=256)
def _passages(structure: Structure, here: tuple[int, ...], there: int) -> tuple[_Passage, ...]:
    """Blocks that join the layer `there` to layers of `here`."""
    found = []
    for number, (source, target) in enumerate(structure.ends):
        for near, far in ((source, target), (target, source)):
            if near in here and far == there:
                found.append(_Passage(number, near == source, near))
    return tuple(found)


class _Products:
    """Products of a batch's blocks with skinny matrices, layer by layer."""

    def __init__(self, batch: GraphBatch) -> None:
        self.batch, self.xp = batch, batch.backend.xp

    def into(self, there: int, here: tuple[int, ...], X: Sequence[Array]) -> Array:
        """``|W|`` into the layer `there` from the layers `here`, whose rows X has, by layer."""
        total: Any = None
        for number, transposed, near in _passages(self.batch.structure, here, there):
            part = self.product(number, X[here.index(near)], transposed)
            total = part if total is None else total + part
        if total is None:
            like = X[0]
            return self.xp.zeros((like.shape[0], self.batch.structure.sizes[there], like.shape[2]), dtype=like.dtype)
        return total

    def product(self, number: int, x: Array, transposed: bool) -> Array:
        """``|W|`` or its transpose times x."""
        block, multiply = self.batch.weights[number], self.batch.backend.block_product
        return multiply(block, x, None)[1] if transposed else multiply(block, None, x)[0]

    def gathered(self, values: Array, layers: tuple[int, ...]) -> Array:
        """Values per node (B, n) of some layers, one after the other, (B, size, 1)."""
        slices = [values[:, self.batch.structure.layer_slice(layer)] for layer in layers]
        return self.xp.concat(slices, axis=1)[:, :, None]

    def split(self, X: Array, layers: tuple[int, ...]) -> list[Array]:
        """Rows of X by layer."""
        return [X[:, first:last, :] for first, last in _bounds(self.batch.structure, layers)]


@lru_cache(maxsize=256)
def _bounds(structure: Structure, layers: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """First and last row of each of some layers, one after the other."""
    ends = [sum(structure.sizes[i] for i in layers[:k]) for k in range(len(layers) + 1)]
    return tuple(pairwise(ends))


class ReducedOperator:
    """``G = B B^T`` on the smaller side of a bipartite graph."""

    def __init__(self, batch: GraphBatch, dtype: Any) -> None:
        assert batch.structure.sides is not None
        self.xp, self._products = batch.backend.xp, _Products(batch)
        self._small, self._large = batch.structure.sides
        gathered, scale = self._products.gathered, batch.inverse_sqrt_degrees(dtype)
        self._small_scale, self._large_scale = gathered(scale, self._small), gathered(scale, self._large)
        self.trivial = 2**0.5 * gathered(batch.trivial_vector(dtype), self._small)
        self.mask = self.xp.astype(self.trivial > 0, dtype)

    def images(self, X: Array) -> tuple[Array, Array]:
        """``B^T X`` and ``G X``.

        The layers of the larger side come one after the other, so that both products find its weights in the cache.
        """
        products, small, large = self._products, self._small, self._large
        parts, scales = products.split(X * self._small_scale, small), products.split(self._large_scale, large)
        Y, totals = [], dict.fromkeys(small)
        for layer, scale in zip(large, scales, strict=True):
            y = products.into(layer, small, parts) * scale
            Y.append(y)
            y = y * scale
            for number, transposed, near in _passages(products.batch.structure, small, layer):
                z = products.product(number, y, not transposed)
                totals[near] = z if totals[near] is None else totals[near] + z
        GX = [
            self.xp.zeros_like(part) if total is None else total
            for part, total in zip(parts, totals.values(), strict=True)
        ]
        return self.xp.concat(Y, axis=1), self.xp.concat(GX, axis=1) * self._small_scale

    def powered(self, X: Array, AX: Array, theta: Array) -> Array:
        """``G X``, shifted by so little that it matters where a singular value is zero only."""
        shift = self._floor(theta) ** 2
        return (AX + shift * X) / (at_least(self.xp, theta, 0.0) + shift)[:, None, :]

    def tolerance(self, theta: Array, tol: float) -> Array:
        """``r_G = sqrt(2) sigma r_L``."""
        return tol * 2**0.5 * self._sigma(theta)

    def unit_vectors(self, X: Array, Y: Array, theta: Array) -> tuple[Array, Array]:
        """``(x; B^T x / sigma)``, made a unit vector, and sigma."""
        xp, sigma, products = self.xp, self._sigma(theta), self._products
        length = xp.sqrt(1.0 + at_least(xp, theta, 0.0) / (sigma * sigma))
        parts: dict[int, Array] = {}
        for values, layers in ((X / length[:, None, :], self._small), (Y / (sigma * length)[:, None, :], self._large)):
            parts.update(zip(layers, products.split(values, layers), strict=True))
        return xp.concat([parts[layer] for layer in sorted(parts)], axis=1), sigma

    def _sigma(self, theta: Array) -> Array:
        return self.xp.sqrt(at_least(self.xp, theta, self._floor(theta) ** 2))

    def _floor(self, theta: Array) -> float:
        return SIGMA_FLOOR["float64" if theta.dtype == self.xp.float64 else "float32"]


class FullOperator:
    """``S = D^-1/2 A D^-1/2`` on all nodes."""

    def __init__(self, batch: GraphBatch, dtype: Any) -> None:
        self.xp, self._products = batch.backend.xp, _Products(batch)
        self._layers = tuple(range(len(batch.structure.sizes)))
        self._scale = batch.inverse_sqrt_degrees(dtype)[:, :, None]
        self.trivial = batch.trivial_vector(dtype)[:, :, None]
        self.mask = self.xp.astype(self.trivial > 0, dtype)

    def images(self, X: Array) -> tuple[Array, Array]:
        """Nothing, and ``S X``."""
        products, layers = self._products, self._layers
        parts = products.split(X * self._scale, layers)
        totals = [products.into(layer, layers, parts) for layer in layers]
        return X[:, :0, :], self.xp.concat(totals, axis=1) * self._scale

    def powered(self, X: Array, AX: Array, theta: Array) -> Array:
        """``(I + S) X``: shifted, so that the other end of the spectrum stays small."""
        return (X + AX) / at_least(self.xp, 1.0 + theta, SIGMA_FLOOR["float32"])[:, None, :]

    def tolerance(self, theta: Array, tol: float) -> Array:
        """`tol` itself: S and L have the same residuals."""
        return self.xp.full_like(theta, tol)

    def unit_vectors(self, X: Array, Y: Array, theta: Array) -> tuple[Array, Array]:
        """X and its eigenvalues, as they are."""
        del Y
        return X, theta
