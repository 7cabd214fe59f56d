"""The operators that tracking multiplies with: those of :mod:`netspectra.spectrum.operator`, for blocks of few vectors.

In a step of training one product stands beside the forward and backward pass of a network, and what is prepared for it
counts. So scales are cut by side once, where things stand is worked out once per structure, and both images of a vector
come out of one call.
"""

from functools import lru_cache
from itertools import accumulate
from typing import Any, Protocol

from netspectra.graph.batch import GraphBatch, Structure
from netspectra.kernels.backend import Array
from netspectra.spectrum.operator import NormalizedAdjacency

__all__ = ["FullOperator", "ReducedOperator", "TrackedOperator", "at_least"]

SIGMA_FLOOR = {"float32": 1e-3, "float64": 1e-7}
"""Singular values below this are lost in the rounding of their squares, and count as zero: an eigenvalue 1."""


class TrackedOperator(Protocol):
    """A batch of symmetric operators A whose largest eigenpairs, beside the trivial one, are tracked.

    Attributes
    ----------
    trivial : array, shape (B, size)
        Unit vector of the trivial eigenpair; zero for isolated nodes.
    """

    trivial: Array

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
    result: Array = xp.maximum(values, low)
    return result


@lru_cache(maxsize=256)
def _runs(structure: Structure, layers: tuple[int, ...]) -> tuple[slice, ...]:
    """Nodes of some layers, ascending, as few slices as possible."""
    runs: list[slice] = []
    for layer in layers:
        here = structure.layer_slice(layer)
        joins = bool(runs) and runs[-1].stop == here.start
        runs.append(slice(runs.pop().start, here.stop) if joins else here)
    return tuple(runs)


def _gathered(xp: Any, values: Array, runs: tuple[slice, ...]) -> Array:
    """Values per node (B, n) of some runs of nodes, one after the other."""
    return values[:, runs[0]] if len(runs) == 1 else xp.concat([values[:, run] for run in runs], axis=1)


@lru_cache(maxsize=256)
def _corners(structure: Structure) -> tuple[tuple[int, int, bool], ...]:
    """Row and column of every block in the matrix between the two sides, and whether it is transposed there."""
    assert structure.sides is not None
    starts: dict[int, int] = {}
    for side in structure.sides:
        ends = accumulate((structure.sizes[layer] for layer in side), initial=0)
        starts.update(zip(side, ends, strict=False))
    found = []
    for source, target in structure.ends:
        transposed = source not in structure.sides[0]
        row, col = (target, source) if transposed else (source, target)
        found.append((starts[row], starts[col], transposed))
    return tuple(found)


def _cut(values: Array, runs: tuple[slice, ...]) -> dict[int, Array]:
    """Runs of nodes, by their first, of values (B, size, c) that have one after the other."""
    parts, end = {}, 0
    for run in runs:
        first, end = end, end + run.stop - run.start
        parts[run.start] = values[:, first:end, :]
    return parts


class ReducedOperator:
    """``G = B B^T`` on the smaller side of a bipartite graph."""

    def __init__(self, batch: GraphBatch, dtype: Any) -> None:
        assert batch.structure.sides is not None
        self.xp, self._backend = batch.backend.xp, batch.backend
        self._small, self._large = (_runs(batch.structure, side) for side in batch.structure.sides)
        scale = batch.inverse_sqrt_degrees(dtype)
        self._small_scale, self._large_scale = (_gathered(self.xp, scale, runs) for runs in (self._small, self._large))
        self.trivial = 2**0.5 * _gathered(self.xp, batch.trivial_vector(dtype), self._small)
        corners = _corners(batch.structure)
        self._blocks = [(block, *corner) for block, corner in zip(batch.weights, corners, strict=True)]

    def images(self, X: Array) -> tuple[Array, Array]:
        """``B^T X`` and ``G X``."""
        return self._backend.scaled_gram(self._blocks, self._small_scale, self._large_scale, X)

    def powered(self, X: Array, AX: Array, theta: Array) -> Array:
        """``G X``, shifted by so little that it matters where a singular value is zero only."""
        shift = self._floor(theta) ** 2
        return (AX + shift * X) / (at_least(self.xp, theta, 0.0) + shift)[:, None, :]

    def tolerance(self, theta: Array, tol: float) -> Array:
        """``r_G = sqrt(2) sigma r_L``."""
        return tol * 2**0.5 * self._sigma(theta)

    def unit_vectors(self, X: Array, Y: Array, theta: Array) -> tuple[Array, Array]:
        """``(x; B^T x / sigma)``, made a unit vector, and sigma."""
        xp, sigma = self.xp, self._sigma(theta)
        length = xp.sqrt(1.0 + at_least(xp, theta, 0.0) / (sigma * sigma))
        parts = _cut(X / length[:, None, :], self._small) | _cut(Y / (sigma * length)[:, None, :], self._large)
        return xp.concat([parts[first] for first in sorted(parts)], axis=1), sigma

    def _sigma(self, theta: Array) -> Array:
        return self.xp.sqrt(at_least(self.xp, theta, self._floor(theta) ** 2))

    def _floor(self, theta: Array) -> float:
        return SIGMA_FLOOR["float64" if theta.dtype == self.xp.float64 else "float32"]


class FullOperator:
    """``S = D^-1/2 A D^-1/2`` on all nodes."""

    def __init__(self, batch: GraphBatch, dtype: Any) -> None:
        self.xp = batch.backend.xp
        self._adjacency = NormalizedAdjacency(batch)
        self.trivial = batch.trivial_vector(dtype)

    def images(self, X: Array) -> tuple[Array, Array]:
        """Nothing, and ``S X``."""
        return X[:, :0, :], self._adjacency.apply(X)

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
