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
from netspectra.spectrum.orthonormal import combined, orthonormalize, side_by_side, symmetric

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
        xp, backend = self.backend.xp, self.backend
        within = s.iteration < self.maxiter  # a backend may step beyond the end, see Backend.while_loop
        theta = s.values[:, None, :]
        squares = backend.row_sums(lambda ax, x: xp.sum((ax - x * theta) ** 2, axis=1), s.AX, s.X)
        relative = xp.sqrt(squares) / self.tolerance(s.values)
        error = xp.max(relative[:, : self.n_wanted], axis=1)
        better = (error < s.best_error) & within
        best, best_values = self.chosen(better, (s.X, s.values), (s.best, s.best_values))
        best_error = xp.where(better, error, s.best_error)
        best_iteration = xp.where(better, xp.full_like(s.best_iteration, s.iteration), s.best_iteration)
        done = (best_error <= 1) | (s.iteration - best_iteration > STALLED_AFTER)
        active = ~done & within
        old = s.X, s.AX, s.P, s.AP, s.values

        def advanced(old: tuple[Array, ...]) -> tuple[Array, ...]:
            unsettled = xp.astype(relative > SETTLED, s.X.dtype)[:, None, :]
            R = backend.rowwise(lambda ax, x: (ax - x * theta) * unsettled, s.AX, s.X)
            return self.chosen(active, self.advance(s, R), old)

        X, AX, P, AP, values = backend.cond(xp.any(active), advanced, lambda old: old, old)
        n_iterations = s.n_iterations + xp.astype(active, xp.int32)
        return LobpcgState(
            X, AX, P, AP, values, best, best_values, best_error, best_iteration, s.iteration + 1, n_iterations, done
        )

    def chosen(self, mask: Array, new: tuple[Array, ...], old: tuple[Array, ...]) -> tuple[Array, ...]:
        """`new` for the members of `mask`, `old` for the others; not copied where they are all or none."""
        xp, cond = self.backend.xp, self.backend.cond

        def mixed(both: tuple[tuple[Array, ...], ...]) -> tuple[Array, ...]:
            masks = (xp.reshape(mask, (-1, *(1,) * (a.ndim - 1))) for a in new)
            return tuple(xp.where(m, a, b) for m, a, b in zip(masks, *both, strict=True))

        def some(both: tuple[tuple[Array, ...], ...]) -> tuple[Array, ...]:
            return cond(xp.any(mask), mixed, lambda both: both[1], both)

        return cond(xp.all(mask), lambda both: both[0], some, (new, old))

    def advance(self, s: LobpcgState, R: Array) -> tuple[Array, ...]:
        """Rayleigh-Ritz on [X P W], W the new directions; returns X, AX, P, AP and the Ritz values."""
        xp, backend, m = self.backend.xp, self.backend, s.X.shape[2]
        W = orthonormalize(backend, R, self.deflated, s.X, s.P)
        Q, AQ = (s.X, s.P, W), (s.AX, s.AP, self.apply(W))
        C, values = self.ritz_coefficients(Q, AQ, m)
        # New P: the part of the new X that lies in [P W], made orthonormal to the new X in coefficient space. C has no
        # part in the zero columns of Q; neither has D, or else P would not be orthonormal.
        outside = xp.concat([xp.zeros_like(C[:, :m, :]), C[:, m:, :]], axis=1)
        D = orthonormalize(backend, outside, C)
        X, AX = combined(backend, C, *Q), combined(backend, C, *AQ)
        P, AP = combined(backend, D, *Q), combined(backend, D, *AQ)
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
        C, values = self.ritz_coefficients((Q,), (AQ,), Q.shape[2])
        return combined(self.backend, C, Q), combined(self.backend, C, AQ), values

    def ritz_coefficients(self, Q: tuple[Array, ...], AQ: tuple[Array, ...], m: int) -> tuple[Array, Array]:
        """Coefficients (B, q, m) and values (B, m) of the m largest Ritz pairs in the basis [Q] with zero columns."""
        xp, backend, parts = self.backend.xp, self.backend, len(Q)

        def gram(*both: Array) -> Array:
            """``Q^T A Q``, and below it the squared lengths of the columns of Q, in one pass."""
            basis, images = side_by_side(backend, *both[:parts]), side_by_side(backend, *both[parts:])
            squares = xp.sum(basis * basis, axis=1, keepdims=True)
            return xp.concat([xp.matmul(xp.matrix_transpose(basis), images), squares], axis=1)

        both = backend.row_sums(gram, *Q, *AQ)
        H = symmetric(backend, both[:, :-1, :])
        filled = xp.astype(both[:, -1, :] > 0.5, H.dtype)
        # Never chosen, for the spectrum is >= -1; and not much farther, or a float32 eigh loses digits: with 4 instead
        # LOBPCG took two to four times as many iterations on JAX.
        H = H - 1.25 * (1 - filled)[:, :, None] * xp.eye(H.shape[1], dtype=H.dtype)
        values, vectors = backend.eigh(H)
        C = vectors[:, :, H.shape[1] - m :] * filled[:, :, None]
        return xp.flip(C, axis=2), xp.flip(values[:, H.shape[1] - m :], axis=1)
