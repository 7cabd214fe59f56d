"""The smallest non-trivial eigenpairs of L while the weights move: Rayleigh-Ritz on the last step's block.

Eigenvectors move little between training steps. The block of the step before, wanted columns and guards, is put through
one product with the new operator, and its Ritz pairs are usually within the tolerance. What the product made of the
block (``G X``, or ``X + S X``) is the next step's start: a step of subspace iteration that costs nothing. It matters:
started from X itself, vectors fell behind the weights of a training run (residual 0.1 after 20 steps); from the product
they kept up (2e-3) without any iteration.

Where that is not enough, the block is improved by locally optimal block steps on ``[X R P]``, as in
:mod:`netspectra.spectrum.lobpcg` but lean: one Gram matrix and two small ``eigh`` a step, no second orthogonalisation.
What has not converged after :data:`LEAN_STEPS` of them goes to the general LOBPCG.

All of it is one pure function of fixed shapes: a backend that compiles may trace it.
"""

from typing import Any, NamedTuple

from netspectra.graph.batch import GraphBatch, Structure
from netspectra.kernels.backend import Array, Backend
from netspectra.kernels.keys import stream_keys
from netspectra.spectrum.lobpcg import lobpcg
from netspectra.training.operators import FullOperator, ReducedOperator, TrackedOperator, at_least

__all__ = ["Tracked", "block_shape", "reduces", "start_block", "track"]

LEAN_STEPS = 8
_MULTIPLE = 4
"""Columns of a block come in fours: that is what matrix products with few columns are made for."""
_PER_COLUMN = 3
"""The bipartite reduction needs that many nodes per column on its smaller side."""


class Tracked(NamedTuple):
    """What one step of training gets, and what it leaves to the next.

    Attributes
    ----------
    eigenvalues : array, shape (B, q)
        Numbers 2 to q + 1 of L, ascending.
    vectors : array, shape (B, n, q)
        Unit eigenvectors in node order; rows of isolated nodes are zero.
    block : array, shape (B, size, m)
        Start of the next step; the one given where what came out is not finite.
    residual : array, shape (B,)
        Largest ``|L x - lambda x|`` of these pairs.
    n_iterations : array, shape (B,), int32
        Steps beyond the first Rayleigh-Ritz.
    """

    eigenvalues: Array
    vectors: Array
    block: Array
    residual: Array
    n_iterations: Array


class _Pairs(NamedTuple):
    """Ritz vectors X (B, size, m), their images (see :class:`TrackedOperator`), values, largest residual of L."""

    X: Array
    Y: Array
    AX: Array
    theta: Array
    residual: Array
    n_iterations: Array


class _Moving(NamedTuple):
    """Ritz pairs, and the directions they came from last, with their images."""

    pairs: _Pairs
    P: Array
    YP: Array
    AP: Array


def block_shape(structure: Structure, n_eigenvalues: int) -> tuple[int, int]:
    """Shape (size, m) of the block that is tracked: the wanted columns and one to four guards."""
    size = structure.reduced_size if reduces(structure, n_eigenvalues) else structure.n_nodes
    return size, min(_width(n_eigenvalues), max(size - 1, 1))


def start_block(backend: Backend, structure: Structure, n_eigenvalues: int, dtype: Any, seed: int = 0) -> Array:
    """Keyed random block (1, size, m) to start from cold, its columns along memory, where backends leave them."""
    keys, (size, m) = stream_keys(seed, "start-block", [None]), block_shape(structure, n_eigenvalues)
    drawn = backend.standard_normals(keys, (size, m), dtype) * size**-0.5
    return backend.xp.matrix_transpose(backend.xp.stack([drawn[:, :, k] for k in range(m)], axis=1))


def track(batch: GraphBatch, n_eigenvalues: int, block: Array, tol: float, maxiter: int) -> Tracked:
    """Return eigenpairs 2 to ``n_eigenvalues + 1`` of every member's Laplacian.

    Parameters
    ----------
    batch : GraphBatch
    n_eigenvalues : int
    block : array, shape (B, size, m)
        That of the step before, or :func:`start_block`; its dtype is worked in.
    tol : float
        Bound on the residual of L.
    maxiter : int
        Of the general LOBPCG, where it has to help out.
    """
    backend, xp, q = batch.backend, batch.backend.xp, n_eigenvalues
    operator = (ReducedOperator if reduces(batch.structure, q) else FullOperator)(batch, block.dtype)
    step = _Step(backend, operator, q, tol)
    pairs = step.begin(block)
    pairs = backend.cond(xp.any(pairs.residual > tol), lambda s: _improve(step, s, maxiter), lambda s: s, pairs)
    vectors, values = operator.unit_vectors(pairs.X[:, :, :q], pairs.Y[:, :, :q], pairs.theta[:, :q])
    following = _where(xp, xp.isfinite(pairs.residual), operator.powered(pairs.X, pairs.AX, pairs.theta), block)
    return Tracked(1.0 - values, vectors, following, pairs.residual, pairs.n_iterations)


def _improve(step: "_Step", pairs: _Pairs, maxiter: int) -> _Pairs:
    """Lean steps, then the general LOBPCG for what they could not finish."""
    backend, operator = step.backend, step.operator
    xp = backend.xp
    none, no_image = xp.zeros_like(pairs.X), xp.zeros_like(pairs.Y)
    pairs = backend.while_loop(step.goes_on, step, _Moving(pairs, none, no_image, none)).pairs

    def generally(s: _Pairs) -> _Pairs:
        found = lobpcg(
            backend,
            lambda X: operator.images(X)[1],
            s.X,
            operator.trivial[:, :, None],
            step.n_wanted,
            lambda theta: operator.tolerance(theta, step.tol),
            maxiter,
        )
        return step.begin(found.best)._replace(n_iterations=s.n_iterations + found.n_iterations)

    return backend.cond(xp.any(pairs.residual > step.tol), generally, lambda s: s, pairs)


def _width(n_eigenvalues: int) -> int:
    return -(-(n_eigenvalues + 1) // _MULTIPLE) * _MULTIPLE


def reduces(structure: Structure, n_eigenvalues: int) -> bool:
    """Whether the graph is bipartite, with a smaller side large enough to have the wanted eigenvalues below 1."""
    return structure.sides is not None and structure.reduced_size >= _PER_COLUMN * _width(n_eigenvalues)


class _Step:
    """One lean step of every member that has not converged."""

    def __init__(self, backend: Backend, operator: TrackedOperator, n_wanted: int, tol: float) -> None:
        self.backend, self.operator, self.n_wanted, self.tol = backend, operator, n_wanted, tol

    def begin(self, X: Array) -> _Pairs:
        """Rayleigh-Ritz on the span of X, whose columns are of about unit length but need not be orthonormal."""
        xp = self.backend.xp
        X = self._admitted(X)
        Y, AX = self.operator.images(X)
        theta, _, (X, AX, Y), residuals = self.backend.rayleigh_ritz((X, AX, Y), X.shape[2])
        none = xp.zeros((X.shape[0],), dtype=xp.int32)
        return _Pairs(X, Y, AX, theta, self._residual(theta, residuals), none)

    def goes_on(self, s: _Moving) -> Array:
        """Whether any member needs another step; one whose numbers are not finite does not."""
        return self.backend.xp.any(self._active(s))

    def __call__(self, s: _Moving) -> _Moving:
        xp, old = self.backend.xp, s.pairs
        m = old.X.shape[2]
        R = self._admitted(old.AX - old.X * old.theta[:, None, :])
        R, P = R * self._unit(R), self._unit(s.P)
        YR, AR = self.operator.images(R)
        columns = ((old.X, R, s.P * P), (old.AX, AR, s.AP * P), (old.Y, YR, s.YP * P))
        bases = [xp.concat(part, axis=2) for part in columns]
        theta, C, (X, AX, Y), residuals = self.backend.rayleigh_ritz(bases, m)
        P, AP, YP = (xp.matmul(A[:, :, m:], C[:, m:, :]) for A in bases)
        active = self._active(s)
        new = _Pairs(X, Y, AX, theta, self._residual(theta, residuals), old.n_iterations + 1)
        kept = (_where(xp, active, a, b) for a, b in zip((*new, P, YP, AP), (*old, s.P, s.YP, s.AP), strict=True))
        *parts, P, YP, AP = kept
        return _Moving(_Pairs(*parts), P, YP, AP)

    def _active(self, s: _Moving) -> Array:
        return (s.pairs.residual > self.tol) & (s.pairs.n_iterations < LEAN_STEPS)

    def _admitted(self, X: Array) -> Array:
        """X without its part along the trivial vector, and zero in rows of isolated nodes."""
        return self.backend.deflated(X, self.operator.trivial)

    def _unit(self, X: Array) -> Array:
        """What makes the columns of X, where they are not zero, unit vectors; (B, 1, c)."""
        xp = self.backend.xp
        lengths = xp.sqrt(xp.sum(X * X, axis=1, keepdims=True))
        return 1.0 / at_least(xp, lengths, float(xp.finfo(X.dtype).smallest_normal) ** 0.5)

    def _residual(self, theta: Array, residuals: Array) -> Array:
        """Largest residual of L of the wanted pairs."""
        q = self.n_wanted
        return self.backend.xp.max(residuals[:, :q] / self.operator.tolerance(theta[:, :q], 1.0), axis=1)


def _where(xp: Any, active: Array, new: Array, old: Array) -> Array:
    return xp.where(xp.reshape(active, (-1, *([1] * (new.ndim - 1)))), new, old)
