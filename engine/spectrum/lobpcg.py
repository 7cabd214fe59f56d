"""Locally optimal block preconditioned conjugate gradients, batched: the largest eigenpairs of many operators at once.

Source: A. Knyazev, SIAM J. Sci. Comput. 23 (2001); the basis [X P W] is kept orthonormal as in JAX's
``lobpcg_standard`` and in Duersch et al. (SIAM J. Sci. Comput. 40, 2018). Deviations: a leading axis of replicates with
one verdict per member; converged members are frozen and converged columns get no new direction, by masks, so shapes
never change; dependent directions are zero columns; the operator is applied to the new directions only (products with X
and P follow by linear combination, and are recomputed every few iterations); the best block is returned, not the last.

The algorithm is a pure step ``state -> state`` that a backend's ``while_loop`` repeats.
"""

from collections.abc import Callable
from typing import NamedTuple

from netspectra.kernels.backend import Array, Backend
from netspectra.spectrum.orthonormal import orthonormalize, projected

__all__ = ["LobpcgState", "lobpcg"]

REFRESH_EVERY = 30
"""Iterations after which the product with X is recomputed, which ends the drift of its linear combinations."""
SETTLED = 0.1
"""Residual, in tolerances, below which a column gets no new direction.

Columns just inside the tolerance still help the others: with 1 instead, the last column of a graph of 2e8 edges stalled
at 1.2 tolerances, and took 60 iterations instead of 45.
"""
STALLED_AFTER = 60
"""Iterations without a better residual after which a member is given up (to be escalated)."""


class LobpcgState(NamedTuple):
    """One state of the iteration; arrays have the leading axis B, m is the block width.

    `best`, `best_values`, `best_error` hold the block of least error so far: the largest residual norm of the wanted
    columns, in units of their tolerance.
    """

    X: Array
    AX: Array
    P: Array
    AP: Array
    values: Array
    best: Array
    best_values: Array
    best_error: Array
    best_iteration: Array
    iteration: int
    n_iterations: Array
    done: Array


def lobpcg(
    backend: Backend,
    apply: Callable[[Array], Array],
    start: Array,
    deflated: Array,
    n_wanted: int,
    tolerance: Callable[[Array], Array],
    maxiter: int,
) -> LobpcgState:
    """Iterate until the first `n_wanted` eigenpairs of every member have converged, or `maxiter`.

    Parameters
    ----------
    backend : Backend
    apply : callable
        Product of each member's symmetric operator with (B, n, c).
    start : array, shape (B, n, m)
        Starting block, m > n_wanted (the surplus are guard vectors). Rows that must stay zero are zero.
    deflated : array, shape (B, n, 1)
        Unit vectors to which everything is kept orthogonal.
    n_wanted : int
    tolerance : callable
        Bound on the residual norm for each Ritz value: (B, m) -> (B, m).
    maxiter : int

    Returns
    -------
    LobpcgState
        `best` and `best_values` (descending) are the result; `done` says who converged.
    """
    xp = backend.xp
    step = _Step(backend, apply, deflated, n_wanted, tolerance, maxiter)
    X = orthonormalize(backend, start, deflated)
    X, AX, values = step.rayleigh_ritz(X, apply(X))
    members = X.shape[0]
    zero, none = xp.zeros_like(X), xp.zeros((members,), dtype=xp.int32)
    infinite = xp.full((members,), xp.inf, dtype=X.dtype)
    undone = xp.zeros((members,), dtype=xp.bool)
    state = LobpcgState(X, AX, zero, zero, values, X, values, infinite, none, 0, none, undone)
    return backend.while_loop(lambda s: (s.iteration < maxiter) & ~xp.all(s.done), step, state)


class _Step:
    """One iteration of every member that is not done."""

    def __init__(
        self,
        backend: Backend,
        apply: Callable[[Array], Array],
        deflated: Array,
        n_wanted: int,
        tolerance: Callable[[Array], Array],
        maxiter: int,
    ) -> None:
        self.backend, self.apply, self.deflated = backend, apply, deflated
        self.n_wanted, self.tolerance, self.maxiter = n_wanted, tolerance, maxiter

    def __call__(self, s: LobpcgState) -> LobpcgState:
        xp = self.backend.xp
        within = s.iteration < self.maxiter  # a backend may step beyond the end, see Backend.while_loop
        R = s.AX - s.X * s.values[:, None, :]
        relative = xp.sqrt(xp.sum(R * R, axis=1)) / self.tolerance(s.values)
        error = xp.max(relative[:, : self.n_wanted], axis=1)
        better = (error < s.best_error) & within
        best = xp.where(better[:, None, None], s.X, s.best)
        best_values = xp.where(better[:, None], s.values, s.best_values)
        best_error = xp.where(better, error, s.best_error)
        best_iteration = xp.where(better, xp.full_like(s.best_iteration, s.iteration), s.best_iteration)
        done = (best_error <= 1) | (s.iteration - best_iteration > STALLED_AFTER)
        active = ~done & within
        X, AX, P, AP, values = self.advance(s, R * xp.astype(relative > SETTLED, R.dtype)[:, None, :])
        keep = active[:, None, None]
        return LobpcgState(
            xp.where(keep, X, s.X),
            xp.where(keep, AX, s.AX),
            xp.where(keep, P, s.P),
            xp.where(keep, AP, s.AP),
            xp.where(active[:, None], values, s.values),
            best,
            best_values,
            best_error,
            best_iteration,
            s.iteration + 1,
            s.n_iterations + xp.astype(active, xp.int32),
            done,
        )

    def advance(self, s: LobpcgState, R: Array) -> tuple[Array, ...]:
        """Rayleigh-Ritz on [X P W], W the new directions; returns X, AX, P, AP and the Ritz values."""
        xp, backend, m = self.backend.xp, self.backend, s.X.shape[2]
        W = orthonormalize(backend, R, self.deflated, s.X, s.P)
        Q = xp.concat([s.X, s.P, W], axis=2)
        AQ = xp.concat([s.AX, s.AP, self.apply(W)], axis=2)
        C, values = self.ritz_coefficients(Q, AQ, m)
        # New P: the part of the new X that lies in [P W], made orthonormal to the new X in coefficient space. C has no
        # part in the zero columns of Q; neither has D, or else P would not be orthonormal.
        outside = xp.concat([xp.zeros_like(C[:, :m, :]), C[:, m:, :]], axis=1)
        D = orthonormalize(backend, outside, C)
        X, P, AX, AP = xp.matmul(Q, C), xp.matmul(Q, D), xp.matmul(AQ, C), xp.matmul(AQ, D)
        due = (s.iteration + 1) % REFRESH_EVERY == 0
        return backend.cond(due, self.refreshed, lambda state: state, (X, AX, P, AP, values))

    def refreshed(self, state: tuple[Array, ...]) -> tuple[Array, ...]:
        """The same with products made anew."""
        X, _, P, _, _ = state
        X = orthonormalize(self.backend, X, self.deflated)
        X, AX, values = self.rayleigh_ritz(X, self.apply(X))
        P = orthonormalize(self.backend, P, self.deflated, X)
        return X, AX, P, self.apply(P), values

    def rayleigh_ritz(self, Q: Array, AQ: Array) -> tuple[Array, Array, Array]:
        """Ritz vectors of a block, their products, and values, descending."""
        C, values = self.ritz_coefficients(Q, AQ, Q.shape[2])
        return self.backend.xp.matmul(Q, C), self.backend.xp.matmul(AQ, C), values

    def ritz_coefficients(self, Q: Array, AQ: Array, m: int) -> tuple[Array, Array]:
        """Coefficients (B, q, m) and values (B, m) of the m largest Ritz pairs in the basis Q with zero columns."""
        xp = self.backend.xp
        H = projected(self.backend, Q, AQ)
        filled = xp.astype(xp.sum(Q * Q, axis=1) > 0.5, Q.dtype)
        # Never chosen, for the spectrum is >= -1; and not much farther, or a float32 eigh loses digits: with 4 instead
        # LOBPCG took two to four times as many iterations on JAX.
        H = H - 1.25 * (1 - filled)[:, :, None] * xp.eye(Q.shape[2], dtype=Q.dtype)
        values, vectors = self.backend.eigh(H)
        C = vectors[:, :, Q.shape[2] - m :] * filled[:, :, None]
        return xp.flip(C, axis=2), xp.flip(values[:, Q.shape[2] - m :], axis=1)
